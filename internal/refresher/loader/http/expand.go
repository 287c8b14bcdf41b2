// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/yosida95/uritemplate/v3"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// maxURLBytes bounds the URL that a key makes, as keys may have 512 MB.
const maxURLBytes = 64 << 10

// expander makes the URL of a key.
//
// uritemplate reads the template. The expansion is done here, because
// uritemplate (v3.0.2) takes values for text and writes code points instead of
// bytes: it sends "é" as %E9 and drops NUL bytes, and so would load another
// key's value. Here every byte of the key arrives as that byte.
type expander struct {
	keys  *keyspace.Template
	parts []placeholder
	tail  string // the literal behind the last part
	// scheme and host are what every expansion must keep, and before both as they
	// are written.
	scheme, host, before string
	plain                bool // see isPlainTemplate
}

// placeholder is a literal and the variable behind it.
type placeholder struct {
	literal string
	name    string // as written, for errors
	param   int    // position among the key's parameters, or wholeKey
	raw     bool
}

const wholeKey = -1

func newExpander(keys *keyspace.Template, template string) (*expander, error) {
	x := &expander{keys: keys}
	if err := x.readAuthority(template); err != nil {
		return nil, err
	}
	if _, err := uritemplate.New(template); err != nil {
		return nil, fmt.Errorf("is not a URI template of RFC 6570; write it like http://catalog.shop.svc/products/{id}: %w", err)
	}
	rest := template
	for {
		literal, behind, found := strings.Cut(rest, "{")
		if err := checkLiteral(literal); err != nil {
			return nil, err
		}
		if !found {
			x.tail = literal
			x.plain = x.isPlainTemplate()
			return x, nil
		}
		name, after, _ := strings.Cut(behind, "}")
		param, raw, err := readVariable(keys, name)
		if err != nil {
			return nil, err
		}
		x.parts = append(x.parts, placeholder{literal: literal, name: "{" + name + "}", param: param, raw: raw})
		rest = after
	}
}

// readAuthority checks what stands before the path: it must be literal, so that
// no key has a say in where the headers go. Its errors do not quote the URL,
// which may hold a password here.
func (x *expander) readAuthority(template string) error {
	scheme, rest, found := strings.Cut(template, "://")
	if !found || scheme != "http" && scheme != "https" {
		return fmt.Errorf("must start with http:// or https://")
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	switch {
	case strings.ContainsAny(authority, "{}"):
		return fmt.Errorf("must not have a placeholder in the host or port, nor directly behind them; put a / first")
	case strings.Contains(authority, "@"):
		return fmt.Errorf("must not hold a user name or password; send an Authorization header instead")
	}
	u, err := url.Parse(scheme + "://" + authority)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("must have a host, and at most a port, behind %s://", scheme)
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("must have a port from 1 to 65535, not %s", p)
		}
	} else if strings.HasSuffix(authority, ":") {
		return fmt.Errorf("must have a port behind the colon")
	}
	x.scheme, x.host, x.before = scheme, u.Host, scheme+"://"+authority
	return nil
}

func checkLiteral(literal string) error {
	for i := range len(literal) {
		switch c := literal[i]; {
		case c == '#':
			return fmt.Errorf("must not have a fragment (#), as it is never sent; write %%23 for the character")
		case c >= 0x80:
			return fmt.Errorf("must be ASCII; percent-encode other characters")
		}
	}
	return nil
}

// readVariable reads what stands between two braces.
func readVariable(keys *keyspace.Template, expression string) (param int, raw bool, err error) {
	name, raw := strings.CutPrefix(expression, "+")
	if name == keyspace.KeyParam {
		return wholeKey, raw, nil
	}
	if param, ok := keys.Param(name); ok {
		return param, raw, nil
	}
	if strings.ContainsAny(expression, "#./;?&,:*=!@|") {
		return 0, false, fmt.Errorf("has the expression {%s}; only {name} and {+name} can be used", expression)
	}
	return 0, false, fmt.Errorf("uses {%s}, which the key template %q does not have; use one of its placeholders, or {key} for the whole key",
		expression, keys)
}

// fixed returns what every request asks for by a template without placeholders.
func (x *expander) fixed() (string, error) {
	if len(x.parts) > 0 {
		return "", fmt.Errorf("must not have placeholders together with batch, as one call is for many keys, which are in its body; take %s out",
			x.parts[0].name)
	}
	u, invalid := x.parse([]byte(x.tail))
	if invalid != nil {
		return "", fmt.Errorf("is not valid, or has . or .. as a path segment; write it like http://catalog.shop.svc/products:batch")
	}
	return u.RequestURI(), nil
}

// target returns what a request for a key asks for: the path and the query of its
// URL.
func (x *expander) target(key string) (string, *loader.Error) {
	var buffer [256]byte
	b, plain, invalid := x.append(buffer[:0], key)
	if invalid != nil {
		return "", invalid
	}
	if plain {
		return string(b[len(x.before):]), nil
	}
	u, invalid := x.parse(b)
	if invalid != nil {
		return "", invalid
	}
	return u.RequestURI(), nil
}

// append appends the URL of a key. It is plain if it cannot but be valid.
func (x *expander) append(b []byte, key string) (_ []byte, plain bool, invalid *loader.Error) {
	var room [keyspace.MaxPlaceholders]string
	params, ok := x.keys.Match(key, room[:0])
	if !ok {
		return nil, false, loader.Failf(loader.InvalidKey, "the key does not match the template %q", x.keys)
	}
	plain = x.plain
	for _, p := range x.parts {
		value := key
		if p.param != wholeKey {
			value = params[p.param]
		}
		if len(b)+len(value) > maxURLBytes {
			return nil, false, loader.Failf(loader.InvalidKey, "the key makes a URL of more than %d bytes", maxURLBytes)
		}
		b = append(b, p.literal...)
		plain = plain && isPlain(value)
		b = appendEscaped(b, value, p.raw)
	}
	b = append(b, x.tail...)
	if len(b) > maxURLBytes {
		return nil, false, loader.Failf(loader.InvalidKey, "the key makes a URL of more than %d bytes", maxURLBytes)
	}
	return b, plain, nil
}

// parse reads the URL of a key, and checks it.
func (x *expander) parse(b []byte) (*url.URL, *loader.Error) {
	u, err := url.Parse(string(b))
	if err != nil {
		return nil, loader.Failf(loader.InvalidKey, "the key does not make a valid URL")
	}
	return u, x.check(u)
}

// isPlainTemplate says whether the URL of each key whose parameters are plain is
// valid, and stays as it is when it is parsed, as that with x for each is. (x is
// no hex digit, so that nothing before it becomes a triplet.)
func (x *expander) isPlainTemplate() bool {
	var b []byte
	for _, p := range x.parts {
		b = append(append(b, p.literal...), 'x')
	}
	b = append(b, x.tail...)
	u, invalid := x.parse(b)
	return invalid == nil && x.before+u.RequestURI() == string(b)
}

// check looks at the URL as a server will.
func (x *expander) check(u *url.URL) *loader.Error {
	if u.Scheme != x.scheme || u.Host != x.host || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return loader.Failf(loader.InvalidKey, "the key makes a URL that leads elsewhere than %s", x.host)
	}
	if hasDotSegment(u.Path) {
		return loader.Failf(loader.InvalidKey, "the key makes a URL with . or .. as a path segment")
	}
	return nil
}

// hasDotSegment says whether a path, decoded, has a segment . or .. in it. Servers
// and proxies resolve these, some of them after decoding, and some of them take
// \ for /; a key such as product:../admin must not get through to anything else.
func hasDotSegment(path string) bool {
	for {
		end := strings.IndexAny(path, `/\`)
		segment := path
		if end >= 0 {
			segment = path[:end]
		}
		if segment == "." || segment == ".." {
			return true
		}
		if end < 0 {
			return false
		}
		path = path[end+1:]
	}
}
