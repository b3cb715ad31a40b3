package inventory

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
)

//go:embed stock.csv
var stockCSV []byte

// InitialStock is what lies on the shelves when the ledger begins: units by SKU.
func InitialStock() (map[string]int, error) { return parseStock(stockCSV) }

func parseStock(data []byte) (map[string]int, error) {
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("inventory: stock.csv: %w", err)
	}
	if len(rows) < 2 || strings.Join(rows[0], ",") != "sku,units" {
		return nil, fmt.Errorf("inventory: stock.csv needs the columns sku,units and at least one row")
	}
	stock := make(map[string]int, len(rows)-1)
	for i, row := range rows[1:] {
		units, err := strconv.Atoi(row[1])
		if _, twice := stock[row[0]]; err != nil || units < 0 || row[0] == "" || twice {
			return nil, fmt.Errorf("inventory: stock.csv line %d: %q is not a new SKU with a number of units", i+2, row)
		}
		stock[row[0]] = units
	}
	return stock, nil
}
