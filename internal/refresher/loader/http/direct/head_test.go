// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package direct

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

func TestParseHead(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for sentence, c := range map[string]struct {
		head   string
		length int64 // -1: left to net/http
	}{
		"as Go writes it":           {ok + "Date: Sun, 22 Nov 2026 19:00:00 GMT\r\nContent-Length: 256\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", 256},
		"as nginx writes it":        {ok + "Server: nginx\r\nDate: x\r\nContent-Type: application/json\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n", 7},
		"in small letters":          {ok + "content-length:0\r\n\r\n", 0},
		"a length with spaces":      {ok + "Content-Length: \t 5 \r\n\r\n", 5},
		"a line that says nothing":  {"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n", 5},
		"another status":            {"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n", -1},
		"a longer status":           {"HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\n", -1},
		"HTTP/1.0":                  {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", -1},
		"no length":                 {ok + "\r\n", -1},
		"two lengths":               {ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", -1},
		"a length with a sign":      {ok + "Content-Length: +5\r\n\r\n", -1},
		"a negative length":         {ok + "Content-Length: -5\r\n\r\n", -1},
		"lengths in a list":         {ok + "Content-Length: 5, 5\r\n\r\n", -1},
		"an empty length":           {ok + "Content-Length: \r\n\r\n", -1},
		"a length of 20 digits":     {ok + "Content-Length: 00000000000000000005\r\n\r\n", -1},
		"chunks":                    {ok + "Transfer-Encoding: chunked\r\n\r\n", -1},
		"chunks and a length":       {ok + "Content-Length: 5\r\ntransfer-encoding: chunked\r\n\r\n", -1},
		"a connection to be closed": {ok + "Content-Length: 5\r\nConnection: close\r\n\r\n", -1},
		"a compression":             {ok + "Content-Length: 5\r\nCONTENT-ENCODING: gzip\r\n\r\n", -1},
		"a trailer":                 {ok + "Content-Length: 5\r\nTrailer: X\r\n\r\n", -1},
		"a folded line":             {ok + "Content-Length: 5\r\nX: y\r\n z\r\n\r\n", -1},
		"a folded first line":       {ok + " X: y\r\nContent-Length: 5\r\n\r\n", -1},
		"bare line feeds":           {"HTTP/1.1 200 OK\nContent-Length: 5\n\n", -1},
		"one bare line feed":        {ok + "X: y\nContent-Length: 5\r\n\r\n", -1},
		"a bare carriage return":    {ok + "X: y\rContent-Length: 5\r\n\r\n", -1},
		"a space before the colon":  {ok + "Content-Length : 5\r\n\r\n", -1},
		"a line without a colon":    {ok + "X\r\nContent-Length: 5\r\n\r\n", -1},
		"a line without a name":     {ok + ": 5\r\nContent-Length: 5\r\n\r\n", -1},
		"NUL in a value":            {ok + "X: \x00\r\nContent-Length: 5\r\n\r\n", -1},
		"Latin in a value":          {ok + "X: \xe9\r\nContent-Length: 5\r\n\r\n", -1},
		"no end":                    {ok + "Content-Length: 5\r\n", -1},
		"half an end":               {ok + "Content-Length: 5\r\n\r", -1},
		"nothing":                   {"", -1},
	} {
		t.Run(sentence, func(t *testing.T) {
			size, length, ok := parseHead([]byte(c.head))
			if ok != (c.length >= 0) {
				t.Fatalf("plain: %v", ok)
			}
			if ok && (length != c.length || size != len(c.head)) {
				t.Errorf("a head of %d bytes, a body of %d", size, length)
			}
		})
	}
}

// FuzzHead has net/http read what parseHead thought plain: they must be of
// one mind about where the body is, and that the connection can be used again.
func FuzzHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Y: z\r\n\r\nvalueHTTP/1.1"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nvalue"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nvalue"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nvalue"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		size, length, ok := parseHead(b)
		if !ok {
			return
		}
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil {
			t.Fatalf("net/http says %v", err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK || response.ContentLength != length || response.Close ||
			len(response.TransferEncoding) > 0 || response.Trailer != nil || response.Header.Get("Content-Encoding") != "" {
			t.Fatalf("a body of %d bytes, but net/http says %+v", length, response)
		}
		got, err := io.ReadAll(response.Body)
		rest := b[size:]
		if want := rest[:min(int64(len(rest)), length)]; !bytes.Equal(got, want) || (err == nil) != (int64(len(rest)) >= length) {
			t.Fatalf("net/http reads %q, %v; want %q", got, err, want)
		}
	})
}

func TestATransferEncodingIsSeenAsItCame(t *testing.T) {
	for head, want := range map[string]bool{
		"HTTP/1.0 200 OK\r\ntransfer-ENCODING : chunked\r\n\r\n":               true,
		"HTTP/1.0 200 OK\nTransfer-Encoding:\n\n":                              true,
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\nTransfer-Encoding: x\r\n": false,
	} {
		if transferEncoded([]byte(head)) != want {
			t.Errorf("%q: want %v", head, want)
		}
	}
}
