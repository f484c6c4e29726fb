// Verifies license files without a connection: docs/licensing.md. Go 1.18 or later, nothing else.
//
//	go run verify_license.go LICENSE_FILE KEYS.json FINGERPRINT [LATEST]
//
// KEYS.json is what GET /api/v1/licenses/keys answers; a product has it built in. LATEST is the latest time that the product has ever seen,
// in seconds since 1970. Prints the content of a good file, or the reason of a bad one and exits with 1.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	begin   = "-----BEGIN LICENSE FILE-----"
	end     = "-----END LICENSE FILE-----"
	product = "base_product"
	// Clocks differ by so much and are still taken for right, in seconds.
	tolerance = 24 * 3600
	// No file is larger, in characters.
	largest = 64 * 1024
)

// keySet is the JWK Set of GET /api/v1/licenses/keys.
type keySet struct {
	Keys []struct {
		Kid string `json:"kid"`
		X   string `json:"x"`
	} `json:"keys"`
}

// envelope has pointers, to tell a text that is missing from an empty one.
type envelope struct {
	Alg *string `json:"alg"`
	Enc *string `json:"enc"`
	Kid *string `json:"kid"`
	Sig *string `json:"sig"`
}

type content struct {
	Version    int     `json:"version"`
	Exp        float64 `json:"exp"`
	Activation struct {
		Fingerprint string `json:"fingerprint"`
	} `json:"activation"`
	License struct {
		ProductType string `json:"productType"`
	} `json:"license"`
	Meta struct {
		TTL float64 `json:"ttl"`
	} `json:"meta"`
}

// verify answers the content of a good file. The text of the error is the reason, a word. latest is the latest time that was ever seen; keep
// the later of it and now afterwards.
func verify(text string, keys keySet, fingerprint string, now, latest float64) ([]byte, error) {
	malformed := errors.New("malformed")
	if utf8.RuneCountInString(text) > largest {
		return nil, malformed
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for at, line := range lines {
		lines[at] = strings.TrimSpace(line)
	}
	last := len(lines) - 1
	if last < 2 || lines[0] != begin || lines[last] != end {
		return nil, malformed
	}
	body, err := decode(strings.Join(lines[1:last], ""))
	if err != nil {
		return nil, malformed
	}
	var sealed envelope
	if json.Unmarshal(body, &sealed) != nil ||
		sealed.Alg == nil || sealed.Enc == nil || sealed.Kid == nil || sealed.Sig == nil {
		return nil, malformed
	}
	signature, err := decode(*sealed.Sig)
	if err != nil {
		return nil, malformed
	}
	// Only this one, whatever the file says: it must not choose how it is verified.
	if *sealed.Alg != "base64+ed25519" {
		return nil, errors.New("unknown_algorithm")
	}
	var public ed25519.PublicKey
	for _, key := range keys.Keys {
		if key.Kid == *sealed.Kid {
			if public, err = base64.RawURLEncoding.DecodeString(key.X); err != nil {
				return nil, err
			}
		}
	}
	if len(public) != ed25519.PublicKeySize {
		return nil, errors.New("unknown_key")
	}
	if !ed25519.Verify(public, []byte("license/"+*sealed.Enc), signature) {
		return nil, errors.New("invalid_signature")
	}
	// From here on it is what the vendor has written.
	written, err := decode(*sealed.Enc)
	if err != nil {
		return nil, err
	}
	var read content
	if err := json.Unmarshal(written, &read); err != nil {
		return nil, err
	}
	issued := read.Exp - read.Meta.TTL
	switch {
	case read.Version != 1:
		return nil, errors.New("unknown_version")
	case read.License.ProductType != product:
		return nil, errors.New("other_product")
	case read.Activation.Fingerprint != fingerprint:
		return nil, errors.New("other_machine")
	case now < math.Max(issued, latest)-tolerance:
		return nil, errors.New("clock_turned_back")
	case math.Max(now, latest) >= read.Exp:
		return nil, errors.New("expired")
	}
	return written, nil
}

// decode reads base64 with nothing else in it: the decoder leaves out line ends.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("no base64")
	}
	return base64.StdEncoding.DecodeString(text)
}

func main() {
	written, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(written))
}

func run(arguments []string) ([]byte, error) {
	if len(arguments) < 3 {
		return nil, errors.New("usage: verify_license LICENSE_FILE KEYS.json FINGERPRINT [LATEST]")
	}
	file, err := os.Open(arguments[0])
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 4*largest+1))
	if err != nil {
		return nil, err
	}
	encoded, err := os.ReadFile(arguments[1])
	if err != nil {
		return nil, err
	}
	var keys keySet
	if err := json.Unmarshal(encoded, &keys); err != nil {
		return nil, err
	}
	latest := 0.0
	if len(arguments) > 3 {
		if latest, err = strconv.ParseFloat(arguments[3], 64); err != nil {
			return nil, err
		}
	}
	now := float64(time.Now().UnixMilli()) / 1000
	// What is no UTF-8 is no license file either.
	return verify(strings.ToValidUTF8(string(text), "\uFFFD"), keys, arguments[2], now, latest)
}
