package catalog

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// productsCSV holds one product a line. The same SKUs have a price in
// services/pricing/prices.csv and units in services/inventory/stock.csv.
//
//go:embed products.csv
var productsCSV string

// columns is the header of products.csv.
var columns = []string{"sku", "name", "category", "weight_grams", "tagline", "description"}

// parse reads products and returns them ordered by SKU. It refuses gaps and
// duplicates, so that nothing later has to expect them.
func parse(text string) ([]Product, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = len(columns)
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || !slices.Equal(rows[0], columns) {
		return nil, fmt.Errorf("the first line must be %s", strings.Join(columns, ","))
	}
	products := make([]Product, 0, len(rows)-1)
	for i, row := range rows[1:] {
		weight, err := strconv.Atoi(row[3])
		if err != nil || weight < 1 {
			return nil, fmt.Errorf("line %d: weight_grams %q is not a positive number", i+2, row[3])
		}
		for j, field := range row {
			if field == "" {
				return nil, fmt.Errorf("line %d: %s is empty", i+2, columns[j])
			}
		}
		products = append(products, Product{
			SKU: row[0], Name: row[1], Category: row[2], WeightGrams: weight, Tagline: row[4], Description: row[5],
		})
	}
	slices.SortFunc(products, func(a, b Product) int { return strings.Compare(a.SKU, b.SKU) })
	for i := 1; i < len(products); i++ {
		if products[i].SKU == products[i-1].SKU {
			return nil, fmt.Errorf("the SKU %q is there twice", products[i].SKU)
		}
	}
	return products, nil
}
