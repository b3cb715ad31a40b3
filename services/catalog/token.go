package catalog

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"github.com/kitmesh/kitmesh/services/fault"
)

// A page token names the last SKU of the page before it, so it survives
// restarts, works on every instance, and neither skips nor repeats a product
// when others come and go. The checksum tells a damaged token from one of ours;
// it is no secret, as there is nothing to protect.
//
//	base64url( crc32(SKU), 4 bytes big endian · SKU )
var tokenEncoding = base64.RawURLEncoding.Strict()

// writeToken returns the token of the page that starts after sku.
func writeToken(sku string) string {
	raw := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(sku)))
	return tokenEncoding.EncodeToString(append(raw, sku...))
}

// readToken returns the SKU in token, and fault.Invalid when writeToken did not
// make it.
func readToken(token string) (string, error) {
	raw, err := tokenEncoding.DecodeString(token)
	if err != nil || len(raw) <= 4 || writeToken(string(raw[4:])) != token {
		return "", fault.New(fault.Invalid, "page_token is not one of ours; pass the next_page_token of the page before, or leave it out to start again")
	}
	return string(raw[4:]), nil
}
