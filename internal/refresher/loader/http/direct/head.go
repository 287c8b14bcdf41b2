// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package direct

import (
	"bytes"
)

// parseHead reads the head of an answer that is as plain as nearly all are: 200, with a
// Content-Length, and with no header that changes how the body is to be read. It
// returns how many bytes head and body have, and whether it is such a head; b may be the
// beginning of anything. All else, down to a bare line feed, is left to net/http.
func parseHead(b []byte) (size int, length int64, ok bool) {
	const status = "HTTP/1.1 200 "
	if !bytes.HasPrefix(b, []byte(status)) {
		return 0, 0, false
	}
	line, size, ok := cutLine(b, len(status))
	if !ok || !allText(line) {
		return 0, 0, false
	}
	length = -1
	for {
		if line, size, ok = cutLine(b, size); !ok {
			return 0, 0, false
		}
		if len(line) == 0 {
			return size, length, length >= 0
		}
		name, value, ok := cutHeader(line)
		switch {
		case !ok:
			return 0, 0, false
		case equalFold(name, "content-length"):
			if length >= 0 {
				return 0, 0, false
			}
			if length, ok = plainNumber(value); !ok {
				return 0, 0, false
			}
		case equalFold(name, "connection") && equalFold(value, "keep-alive"):
			// some say so, though it goes without saying
		case changesMeaning(name):
			return 0, 0, false
		}
	}
}

// changesMeaning names the headers that say more of an answer than where it ends.
func changesMeaning(name []byte) bool {
	switch len(name) {
	case 7:
		return equalFold(name, "trailer") || equalFold(name, "upgrade")
	case 10:
		return equalFold(name, "connection")
	case 16:
		return equalFold(name, "content-encoding")
	case 17:
		return equalFold(name, "transfer-encoding")
	}
	return false
}

// cutLine returns the line that begins at b[from:], and where the next one does.
func cutLine(b []byte, from int) (line []byte, next int, ok bool) {
	n := bytes.IndexByte(b[from:], '\n')
	if n < 1 || b[from+n-1] != '\r' {
		return nil, 0, false
	}
	return b[from : from+n-1], from + n + 1, true
}

// cutHeader returns the name and the value of a header.
func cutHeader(line []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(line, []byte(":"))
	return name, bytes.Trim(value, " \t"), ok && len(name) > 0 && allToken(name) && allText(value)
}

// equalFold says whether a name is lower, but for capitals.
func equalFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// allToken says whether bytes are letters, digits, hyphens and underscores, as names of
// headers are. Others would be allowed too.
func allToken(b []byte) bool {
	for _, c := range b {
		if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// allText says whether bytes are printable ASCII, spaces and tabs.
func allText(b []byte) bool {
	for _, c := range b {
		if (c < ' ' && c != '\t') || c > '~' {
			return false
		}
	}
	return true
}

// plainNumber reads a number of up to 15 digits.
func plainNumber(digits []byte) (n int64, ok bool) {
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// transferEncoded says that a head, its lines as they came, has a Transfer-Encoding.
func transferEncoded(head []byte) bool {
	for line := range bytes.Lines(head) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return false
		}
		if name, _, _ := bytes.Cut(line, []byte(":")); equalFold(bytes.TrimRight(name, " \t"), "transfer-encoding") {
			return true
		}
	}
	return false
}
