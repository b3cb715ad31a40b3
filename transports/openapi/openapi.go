// Package openapi holds the OpenAPI 3.1 document of the gateway, shows it to
// people and validates requests by it. The document is the source: what it
// does not describe is not part of the public API.
package openapi

import (
	"context"
	_ "embed" // the document
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed gateway.yaml
var gatewayYAML []byte

// Document returns the gateway's OpenAPI document as it is served.
func Document() []byte { return gatewayYAML }

// Load parses and validates the gateway's document, examples included.
func Load() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(gatewayYAML)
	if err != nil {
		return nil, fmt.Errorf("openapi: parse the gateway's document: %w", err)
	}
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("openapi: the gateway's document is not valid: %w", err)
	}
	return doc, nil
}
