package pricing

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pricesCSV holds the price of one unit of each SKU of the catalog, in cents.
//
//go:embed prices.csv
var pricesCSV string

// columns is the header of prices.csv.
var columns = []string{"sku", "cents"}

// maxCents bounds the price of one unit: 100,000 euros.
const maxCents = 10_000_000

// parse reads a price list. It refuses gaps, duplicates and prices outside 1 to
// maxCents.
func parse(text string) (map[string]int64, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = len(columns)
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || !slices.Equal(rows[0], columns) {
		return nil, fmt.Errorf("the first line must be %s", strings.Join(columns, ","))
	}
	cents := make(map[string]int64, len(rows)-1)
	for i, row := range rows[1:] {
		price, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil || price < 1 || price > maxCents {
			return nil, fmt.Errorf("line %d: cents %q is not a number from 1 to %d", i+2, row[1], maxCents)
		}
		if _, twice := cents[row[0]]; twice || row[0] == "" {
			return nil, fmt.Errorf("line %d: the SKU %q is empty or there twice", i+2, row[0])
		}
		cents[row[0]] = price
	}
	return cents, nil
}
