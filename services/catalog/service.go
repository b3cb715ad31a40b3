// Package catalog knows what the shop sells.
package catalog

import "context"

// Service is the catalog's contract.
type Service interface {
	// List returns one page of products ordered by SKU. It fails with
	// fault.Invalid when the size or the token is not one of ours.
	List(context.Context, ListRequest) (Page, error)
	// Get fails with fault.NotFound when there is no such SKU.
	Get(context.Context, GetRequest) (Product, error)
}

type (
	// ListRequest asks for one page.
	ListRequest struct {
		PageSize  int    `json:"-" query:"page_size"`  // 1 to MaxPageSize; 0 means DefaultPageSize
		PageToken string `json:"-" query:"page_token"` // NextPageToken of the page before; empty for the first
	}
	// Page is one page of products.
	Page struct {
		Products      []Product `json:"products"`
		NextPageToken string    `json:"next_page_token,omitempty"` // empty on the last page
	}
	// GetRequest asks for one product.
	GetRequest struct {
		SKU string `json:"-" path:"sku"`
	}
	// Product is what the shop sells under one SKU.
	Product struct {
		SKU         string `json:"sku"`
		Name        string `json:"name"`
		Description string `json:"description"`
		Category    string `json:"category"`
		WeightGrams int    `json:"weight_grams"`
		Tagline     string `json:"tagline,omitempty"` // from version v2 on: what a canary shows
	}
)

// Bounds of a page.
const (
	DefaultPageSize = 20
	MaxPageSize     = 100
)
