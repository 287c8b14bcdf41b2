// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

// A byte's class in RFC 3986, and in the names of headers.
const (
	unreserved = 1 << iota
	reserved
	hexDigit
	headerName
	plainValue
)

var classes = func() (table [256]uint8) {
	set := func(bytes string, class uint8) {
		for i := range len(bytes) {
			table[bytes[i]] |= class
		}
	}
	const digits, letters = "0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	set(digits+letters+"-._~", unreserved)
	// Without #: in a request it can only be the character, never a delimiter.
	set(":/?[]@!$&'()*+,;=", reserved)
	set(digits+"abcdefABCDEF", hexDigit)
	set(digits+letters+"-_", headerName|plainValue)
	set(":", plainValue) // as is or encoded: behind the first / it means nothing
	return table
}()

const upperHex = "0123456789ABCDEF"

// appendEscaped appends a value to a URL. With raw, reserved characters and
// triplets that are percent-encoded already stay as they are (RFC 6570, 3.2.3),
// except for #, which is encoded.
func appendEscaped(b []byte, value string, raw bool) []byte {
	pass := uint8(unreserved)
	if raw {
		pass |= reserved
	}
	for i := range len(value) {
		c := value[i]
		if classes[c]&pass != 0 || raw && c == '%' && isTriplet(value[i:]) {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// isPlain says whether a value leaves a URL valid and what it is, wherever it stands
// in it: not even a dot is in it, which could make a path segment . or ..
func isPlain(value string) bool {
	for i := range len(value) {
		if classes[value[i]]&plainValue == 0 {
			return false
		}
	}
	return true
}

// isTriplet says whether s, which starts with %, goes on with two hex digits.
func isTriplet(s string) bool {
	return len(s) > 2 && classes[s[1]]&hexDigit != 0 && classes[s[2]]&hexDigit != 0
}
