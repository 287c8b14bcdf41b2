// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// codings are the encodings of a body in the order in which they were applied, as all
// lines of its Content-Encoding list them (RFC 9110, 5.3 and 8.4). identity is none.
func codings(header http.Header) (list []string) {
	for _, line := range header["Content-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			switch coding = strings.ToLower(strings.Trim(coding, " \t")); coding {
			case "", "identity":
			case "x-gzip":
				list = append(list, "gzip")
			default:
				list = append(list, coding)
			}
		}
	}
	return list
}

// decode has the body of an answer read as what was encoded. Both transports leave that
// to it, so that one answer means the same however it came.
func (l *Source) decode(r *reply) *loader.Error {
	list := codings(r.header)
	switch {
	case len(list) == 0, l.acceptsEncoded:
		return nil
	case l.unzips && len(list) == 1 && list[0] == "gzip":
		r.length, r.body = -1, &unzipped{body: r.body}
		return nil
	}
	failure := loader.Failf(loader.BodyBroken, "%s answered with a Content-Encoding that was not asked for", l.urls.host)
	failure.Status = r.status
	return failure
}

// chunked says that a body begins with a whole chunk: its size, its data, and the line
// break behind them (RFC 9112, 7.1). net/http drops the Transfer-Encoding of an answer
// by HTTP/1.0 unread, so that there is nothing else to tell it by.
func chunked(body []byte) bool {
	line, data, found := bytes.Cut(body, []byte("\r\n"))
	digits, _, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimRight(digits, " \t")
	if !found || len(digits) == 0 || len(digits) > 8 {
		return false
	}
	size := 0
	for _, c := range digits {
		place := strings.IndexByte("0123456789abcdef", c|0x20)
		if place < 0 || c < '0' {
			return false
		}
		size = 16*size + place
	}
	return size <= len(data) && bytes.HasPrefix(data[size:], []byte("\r\n"))
}
