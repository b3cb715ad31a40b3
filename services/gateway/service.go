// Package gateway assembles what customers see from the services behind it.
package gateway

import (
	"context"
	"time"
)

// Service is the shop's public contract; transports/openapi describes its REST
// form.
type Service interface {
	// Browse returns one page of products with their prices.
	Browse(context.Context, BrowseRequest) (Listing, error)
	// Product assembles one product page. A page without its stock level or
	// shipping estimate is still a page: Partial names what is missing.
	Product(context.Context, ProductRequest) (ProductPage, error)
	// PlaceOrder takes an order, once per Key.
	PlaceOrder(context.Context, PlaceOrderRequest) (Order, error)
	// GetOrder fails with fault.NotFound when there is no such order.
	GetOrder(context.Context, GetOrderRequest) (Order, error)
}

type (
	// Money is an amount in minor units (cents) of a currency (ISO 4217).
	Money struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	// Line is a number of units of one SKU.
	Line struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	// BrowseRequest asks for one page of the shop.
	BrowseRequest struct {
		PageSize  int    `json:"-" query:"page_size"`
		PageToken string `json:"-" query:"page_token"`
	}
	// Listing is one page of the shop.
	Listing struct {
		Products      []ListedProduct `json:"products"`
		NextPageToken string          `json:"next_page_token,omitempty"`
		Partial       []string        `json:"partial,omitempty"` // "price" when pricing did not answer
	}
	// ListedProduct is one product of a listing.
	ListedProduct struct {
		SKU      string `json:"sku"`
		Name     string `json:"name"`
		Category string `json:"category"`
		Price    *Money `json:"price,omitempty"`
	}
	// ProductRequest asks for one product page.
	ProductRequest struct {
		SKU string `json:"-" path:"sku"`
	}
	// ProductPage is everything about one product.
	ProductPage struct {
		SKU         string            `json:"sku"`
		Name        string            `json:"name"`
		Description string            `json:"description"`
		Category    string            `json:"category"`
		Tagline     string            `json:"tagline,omitempty"`
		Price       *Money            `json:"price,omitempty"`
		Available   *int              `json:"available,omitempty"`
		Shipping    *ShippingEstimate `json:"shipping,omitempty"`
		Partial     []string          `json:"partial,omitempty"` // of "price", "stock", "shipping"
	}
	// ShippingEstimate is the delivery of one unit.
	ShippingEstimate struct {
		Cost Money `json:"cost"`
		Days int   `json:"days"`
	}
	// PlaceOrderRequest asks for an order.
	PlaceOrderRequest struct {
		Key     string `json:"-" header:"Idempotency-Key"`
		TraceID string `json:"-" header:"X-Trace-Id"` // set by the server, never by the customer
		Lines   []Line `json:"lines"`
	}
	// GetOrderRequest asks for one order.
	GetOrderRequest struct {
		ID string `json:"-" path:"id"`
	}
	// Order is what a customer sees of an order.
	Order struct {
		ID       string    `json:"id"`
		Status   string    `json:"status"` // "confirmed", "pending", "cancelled" or "failed"
		Lines    []Line    `json:"lines"`
		Goods    Money     `json:"goods"`
		Shipping Money     `json:"shipping"`
		Total    Money     `json:"total"`
		Reason   string    `json:"reason,omitempty"`
		PlacedAt time.Time `json:"placed_at"`
		TraceID  string    `json:"trace_id"` // of the request that placed it
	}
)
