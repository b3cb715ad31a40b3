package catalog_test

import (
	"encoding/csv"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// column reads two columns of a CSV file of the shop: SKU → field.
func column(t *testing.T, path, field string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	i := slices.Index(rows[0], field)
	if i < 0 || rows[0][0] != "sku" {
		t.Fatalf("%s: columns are %v, want sku and %s", path, rows[0], field)
	}
	values := make(map[string]string, len(rows))
	for _, row := range rows[1:] {
		if _, twice := values[row[0]]; twice {
			t.Errorf("%s: %s is there twice", path, row[0])
		}
		values[row[0]] = row[i]
	}
	return values
}

// A SKU that one of the three files lacks would be a product page that is
// always partial, or a price nobody can pay.
func TestThreeFilesHoldTheSameSKUs(t *testing.T) {
	names := column(t, "products.csv", "name")
	for path, field := range map[string]string{"../pricing/prices.csv": "cents", "../inventory/stock.csv": "units"} {
		other := column(t, path, field)
		for sku := range names {
			if _, ok := other[sku]; !ok {
				t.Errorf("%s lacks %s", path, sku)
			}
		}
		for sku := range other {
			if _, ok := names[sku]; !ok {
				t.Errorf("%s has %s, which products.csv lacks", path, sku)
			}
		}
	}
	shape := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for sku := range names {
		if !shape.MatchString(sku) || len(sku) > 40 {
			t.Errorf("%s is not readable in a URL", sku)
		}
	}
}

// The demos of the shop need products that are sold out and some that soon are.
func TestStockHasSomethingForEveryStory(t *testing.T) {
	soldOut, limited := 0, 0
	for sku, text := range column(t, "../inventory/stock.csv", "units") {
		units, err := strconv.Atoi(text)
		switch edition := strings.HasPrefix(sku, "limited-"); {
		case err != nil:
			t.Errorf("%s: %v", sku, err)
		case edition && (units < 5 || units > 25):
			t.Errorf("%s: %d units, a limited edition has 5 to 25", sku, units)
		case edition:
			limited++
		case units == 0:
			soldOut++
		case units < 500 || units > 2000:
			t.Errorf("%s: %d units, want 500 to 2000", sku, units)
		}
	}
	if soldOut < 3 || limited < 3 {
		t.Errorf("%d sold out, %d limited; want a handful of each", soldOut, limited)
	}
}
