package catalog

import (
	"github.com/kitmesh/kitmesh/services/catalog"
	catalogpb "github.com/kitmesh/kitmesh/transports/proto/catalog/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// The pairs below are inverses of each other; TestConversions catches a
// forgotten field.

func listRequestToPB(v catalog.ListRequest) *catalogpb.ListRequest {
	return &catalogpb.ListRequest{PageSize: int64(v.PageSize), PageToken: v.PageToken}
}

func listRequestFromPB(v *catalogpb.ListRequest) catalog.ListRequest {
	return catalog.ListRequest{PageSize: int(v.GetPageSize()), PageToken: v.GetPageToken()}
}

func pageToPB(v catalog.Page) *catalogpb.Page {
	return &catalogpb.Page{Products: rpc.Slice(v.Products, productToPB), NextPageToken: v.NextPageToken}
}

func pageFromPB(v *catalogpb.Page) catalog.Page {
	return catalog.Page{Products: rpc.Slice(v.GetProducts(), productFromPB), NextPageToken: v.GetNextPageToken()}
}

func getRequestToPB(v catalog.GetRequest) *catalogpb.GetRequest {
	return &catalogpb.GetRequest{Sku: v.SKU}
}

func getRequestFromPB(v *catalogpb.GetRequest) catalog.GetRequest {
	return catalog.GetRequest{SKU: v.GetSku()}
}

func productToPB(v catalog.Product) *catalogpb.Product {
	return &catalogpb.Product{
		Sku:         v.SKU,
		Name:        v.Name,
		Description: v.Description,
		Category:    v.Category,
		WeightGrams: int64(v.WeightGrams),
		Tagline:     v.Tagline,
	}
}

func productFromPB(v *catalogpb.Product) catalog.Product {
	return catalog.Product{
		SKU:         v.GetSku(),
		Name:        v.GetName(),
		Description: v.GetDescription(),
		Category:    v.GetCategory(),
		WeightGrams: int(v.GetWeightGrams()),
		Tagline:     v.GetTagline(),
	}
}
