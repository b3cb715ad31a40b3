package catalog_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/services/catalog"
	"github.com/kitmesh/kitmesh/services/fault"
)

func newCatalog(t *testing.T, version string) catalog.Service {
	t.Helper()
	c, err := catalog.New(version)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// list walks all pages of the given size.
func list(t *testing.T, c catalog.Service, size int) (products []catalog.Product, pages int) {
	t.Helper()
	token := ""
	for {
		page, err := c.List(t.Context(), catalog.ListRequest{PageSize: size, PageToken: token})
		if err != nil {
			t.Fatalf("page %d: %v", pages+1, err)
		}
		products = append(products, page.Products...)
		pages++
		if token = page.NextPageToken; token == "" {
			return products, pages
		}
		if pages > 1000 {
			t.Fatal("the pages do not end")
		}
	}
}

func TestListVisitsEveryProductOnce(t *testing.T) {
	c := newCatalog(t, catalog.V1)
	all, _ := list(t, c, catalog.MaxPageSize)
	if len(all) < 200 {
		t.Fatalf("the shop sells %d products, want 200 or more", len(all))
	}
	for i := 1; i < len(all); i++ {
		if all[i-1].SKU >= all[i].SKU {
			t.Fatalf("%s comes before %s", all[i-1].SKU, all[i].SKU)
		}
	}
	for _, size := range []int{0, 1, 7, 20, 43, 99, 100} {
		got, pages := list(t, c, size)
		if !slices.Equal(got, all) {
			t.Errorf("pages of %d do not add up to the catalog", size)
		}
		if size == 0 {
			size = catalog.DefaultPageSize
		}
		// 215 is a multiple of 43: the last full page must not announce an empty one.
		if want := (len(all) + size - 1) / size; pages != want {
			t.Errorf("size %d: %d pages, want %d", size, pages, want)
		}
	}
}

func TestTokensWorkOnEveryInstanceAndVersion(t *testing.T) {
	one, other := newCatalog(t, catalog.V1), newCatalog(t, catalog.V2)
	first, err := one.List(t.Context(), catalog.ListRequest{PageSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	again, err := other.List(t.Context(), catalog.ListRequest{PageSize: 10})
	if err != nil || again.NextPageToken != first.NextPageToken {
		t.Fatalf("tokens differ: %q and %q (%v)", first.NextPageToken, again.NextPageToken, err)
	}
	second, err := other.List(t.Context(), catalog.ListRequest{PageSize: 10, PageToken: first.NextPageToken})
	if err != nil || second.Products[0].SKU <= first.Products[9].SKU {
		t.Fatalf("second page starts with %v (%v)", second.Products, err)
	}
}

func TestListRefuses(t *testing.T) {
	c := newCatalog(t, catalog.V1)
	page, err := c.List(t.Context(), catalog.ListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	good := page.NextPageToken
	for name, c2 := range map[string]struct {
		req  catalog.ListRequest
		says string
	}{
		"negative size":    {catalog.ListRequest{PageSize: -1}, "page_size is -1; use 1 to 100"},
		"size over bound":  {catalog.ListRequest{PageSize: 101}, "page_size is 101; use 1 to 100"},
		"words":            {catalog.ListRequest{PageToken: "second"}, "page_token is not one of ours"},
		"a bare SKU":       {catalog.ListRequest{PageToken: "mug-enamel"}, "page_token is not one of ours"},
		"an encoded SKU":   {catalog.ListRequest{PageToken: base64.RawURLEncoding.EncodeToString([]byte("mug-enamel"))}, "page_token is not one of ours"},
		"truncated":        {catalog.ListRequest{PageToken: good[:len(good)-1]}, "page_token is not one of ours"},
		"one letter off":   {catalog.ListRequest{PageToken: "z" + good[1:]}, "page_token is not one of ours"},
		"with line break":  {catalog.ListRequest{PageToken: good[:4] + "\n" + good[4:]}, "page_token is not one of ours"},
		"nothing inside":   {catalog.ListRequest{PageToken: "AAAAAA"}, "page_token is not one of ours"},
		"empty after trim": {catalog.ListRequest{PageToken: " "}, "page_token is not one of ours"},
	} {
		page, err := c.List(t.Context(), c2.req)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(fault.MessageOf(err), c2.says) {
			t.Errorf("%s: got %v, want invalid: %s", name, err, c2.says)
		}
		if len(page.Products) != 0 {
			t.Errorf("%s: %d products beside an error", name, len(page.Products))
		}
	}
}

func TestCallersCannotChangeTheCatalog(t *testing.T) {
	c := newCatalog(t, catalog.V1)
	page, err := c.List(t.Context(), catalog.ListRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	sku := page.Products[0].SKU
	page.Products[0].Name = "overwritten"
	if got, err := c.Get(t.Context(), catalog.GetRequest{SKU: sku}); err != nil || got.Name == "overwritten" {
		t.Errorf("got %v (%v)", got, err)
	}
}

func TestVersions(t *testing.T) {
	old, _ := list(t, newCatalog(t, catalog.V1), 100)
	canary, _ := list(t, newCatalog(t, catalog.V2), 100)
	for i := range old {
		if old[i].Tagline != "" {
			t.Errorf("v1 shows the tagline of %s", old[i].SKU)
		}
		if canary[i].Tagline == "" {
			t.Errorf("v2 hides the tagline of %s", canary[i].SKU)
		}
		canary[i].Tagline = ""
	}
	if !slices.Equal(old, canary) {
		t.Error("v1 and v2 differ in more than taglines")
	}
	for _, version := range []string{"", "v3", "V1", "2"} {
		if _, err := catalog.New(version); err == nil || !strings.Contains(err.Error(), "use v1") {
			t.Errorf("version %q: %v", version, err)
		}
	}
}

func TestGet(t *testing.T) {
	c := newCatalog(t, catalog.V2)
	all, _ := list(t, c, 100)
	for _, want := range all {
		if got, err := c.Get(t.Context(), catalog.GetRequest{SKU: want.SKU}); err != nil || got != want {
			t.Errorf("Get(%s) = %v, %v", want.SKU, got, err)
		}
	}
	for _, sku := range []string{"", "no-such-tea", "TEA-ASSAM-100", " tea-assam-100", strings.Repeat("x", 1<<16), "\xff"} {
		_, err := c.Get(t.Context(), catalog.GetRequest{SKU: sku})
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("Get(%.20q) = %v, want not_found", sku, err)
		}
		if len(fault.MessageOf(err)) > 200 {
			t.Errorf("Get(%.20q) repeats %d bytes to the caller", sku, len(fault.MessageOf(err)))
		}
	}
}

// FuzzPageToken looks for tokens that panic or that are accepted without being
// one of ours.
func FuzzPageToken(f *testing.F) {
	c, err := catalog.New(catalog.V1)
	if err != nil {
		f.Fatal(err)
	}
	page, _ := c.List(f.Context(), catalog.ListRequest{})
	f.Add(page.NextPageToken)
	f.Add("")
	f.Add("AAAAAA==")
	f.Fuzz(func(t *testing.T, token string) {
		page, err := c.List(t.Context(), catalog.ListRequest{PageToken: token})
		if err != nil && fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v", token, err)
		}
		if _, err := json.Marshal(page); err != nil {
			t.Errorf("%q: %v", token, err)
		}
	})
}
