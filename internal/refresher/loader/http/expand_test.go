// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"net/url"
	"strings"
	"testing"

	"github.com/yosida95/uritemplate/v3"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// target returns what a server gets to see: the host, and the request line's
// target.
func target(u *url.URL) string { return u.Host + u.RequestURI() }

func TestExpand(t *testing.T) {
	for sentence, c := range map[string]struct{ keys, url, key, want string }{
		"a parameter in the path":               {"p:{id}", "http://h/p/{id}", "p:7", "h/p/7"},
		"a parameter in the query":              {"p:{id}", "http://h/p?id={id}&x=1", "p:7", "h/p?id=7&x=1"},
		"a query right behind the host":         {"p:{id}", "http://h?id={id}", "p:7", "h/?id=7"},
		"a port":                                {"p:{id}", "http://h:8080/{id}", "p:7", "h:8080/7"},
		"an IPv6 host":                          {"p:{id}", "http://[::1]:8080/{id}", "p:7", "[::1]:8080/7"},
		"parameters in another order and twice": {"{a}:{b}", "http://h/{b}/{a}/{b}", "1:2", "h/2/1/2"},
		"the whole key":                         {"p:{id}", "http://h/{key}", "p:7", "h/p%3A7"},
		"the whole key with reserved bytes":     {"p:{id}", "http://h/{+key}", "p:7", "h/p:7"},
		"no parameter":                          {"home", "http://h/home", "home", "h/home"},
		"no path":                               {"home", "http://h", "home", "h/"},
		"a parameter that is not used":          {"{a}:{b}", "http://h/{b}", "1:2", "h/2"},

		"spaces, slashes and other delimiters":        {"{x}", "http://h/{x}", " /?#&=+;,@!$'()*[]", "h/%20%2F%3F%23%26%3D%2B%3B%2C%40%21%24%27%28%29%2A%5B%5D"},
		"a percent sign":                              {"{x}", "http://h/{x}", "100%", "h/100%25"},
		"what looks encoded is encoded again":         {"{x}", "http://h/{x}", "%2F", "h/%252F"},
		"line breaks and NUL":                         {"{x}", "http://h/{x}", "a\r\nX\x00b", "h/a%0D%0AX%00b"},
		"line breaks and NUL, by +":                   {"{+x}", "http://h/{+x}", "a\r\nX: y\x00b", "h/a%0D%0AX:%20y%00b"},
		"text beyond ASCII is UTF-8":                  {"{x}", "http://h/{x}", "é€", "h/%C3%A9%E2%82%AC"},
		"text that holds U+FFFD":                      {"{x}", "http://h/{x}", "\uFFFD", "h/%EF%BF%BD"},
		"bytes that are not UTF-8":                    {"{x}", "http://h/{x}", "\xff\x80\xc3", "h/%FF%80%C3"},
		"what RFC 3986 leaves alone":                  {"{x}", "http://h/{x}", "aZ09-._~", "h/aZ09-._~"},
		"quotes, braces, backslash and the rest":      {"{x}", "http://h/{x}", "\"<>\\^`{|}", "h/%22%3C%3E%5C%5E%60%7B%7C%7D"},
		"quotes, braces, backslash and the rest by +": {"{+x}", "http://h/{+x}", "\"<>\\^`{|}", "h/%22%3C%3E%5C%5E%60%7B%7C%7D"},

		"+ passes reserved bytes":          {"{+x}", "http://h/{+x}", "a/b?c=d&e=[f]!$'()*+,;:@", "h/a/b?c=d&e=[f]!$'()*+,;:@"},
		"+ passes what is encoded already": {"{+x}", "http://h/{+x}", "a%20b%2fc", "h/a%20b%2fc"},
		"+ encodes other percent signs":    {"{+x}", "http://h/{+x}", "100%/%2/%zz/%", "h/100%25/%252/%25zz/%25"},
		"+ encodes #":                      {"{+x}", "http://h/{+x}", "a#b", "h/a%23b"},
		"+ cannot be another host":         {"{+x}", "http://h/{+x}", "/evil.com/", "h//evil.com/"},
		"+ cannot be a user":               {"{+x}", "http://h/{+x}", "u:p@evil.com", "h/u:p@evil.com"},
		"+ cannot be another scheme":       {"{+x}", "http://h/{+x}", "https://evil.com", "h/https://evil.com"},
		"mixed, encodings stay apart":      {"{a}:{+b}", "http://h/{a}/{+b}", "x/y:(z/\"", "h/x%2Fy/(z/%22"},
		"encoded literals stay":            {"{x}", "http://h/a%2Fb/{x}", "c/d", "h/a%2Fb/c%2Fd"},

		"dots in a segment":            {"{x}", "http://h/{x}", "a..b", "h/a..b"},
		"three dots":                   {"{x}", "http://h/{x}", "...", "h/..."},
		"dots beside a literal":        {"{x}", "http://h/v{x}", "..", "h/v.."},
		"dots in the query":            {"{+x}", "http://h/?{+x}", "../..", "h/?../.."},
		"a . segment":                  {"{x}", "http://h/{x}", ".", ""},
		"a .. segment":                 {"{x}", "http://h/a/{x}/b", "..", ""},
		"a .. segment with a literal":  {"{x}", "http://h/.{x}/b", ".", ""},
		"a .. segment by +":            {"{+x}", "http://h/{+x}", "a/../b", ""},
		"an encoded .. segment by +":   {"{+x}", "http://h/{+x}", "a/%2e%2E/b", ""},
		"a .. segment after decoding":  {"{x}", "http://h/{x}", "../admin", ""},
		"a .. segment with backslash":  {"{x}", "http://h/{x}", `..\admin`, ""},
		"a .. segment at the end by +": {"{+x}", "http://h/{+x}", "a/..", ""},

		"a key of another keyspace":   {"p:{id}", "http://h/{id}", "q:7", ""},
		"a reserved key":              {"{+x}", "http://h/{+x}", "keepfresh:guard:x", ""},
		"a key of 64 KiB":             {"{x}", "http://h/{x}", strings.Repeat("x", 64<<10), ""},
		"a key that grows to 64 KiB":  {"{x}", "http://h/{x}", strings.Repeat("/", 30<<10), ""},
		"a key that stays under that": {"{x}", "http://h/{x}", strings.Repeat("x", 60<<10), "h/" + strings.Repeat("x", 60<<10)},
	} {
		t.Run(sentence, func(t *testing.T) {
			x, err := newExpander(parsed(c.keys), c.url)
			if err != nil {
				t.Fatal(err)
			}
			u, invalid := x.expand(t, c.key)
			switch {
			case invalid != nil && invalid.Reason != loader.InvalidKey:
				t.Errorf("got %v", invalid)
			case invalid != nil && c.want != "":
				t.Errorf("got %v, want %s", invalid, c.want)
			case invalid == nil && target(u) != c.want:
				t.Errorf("got  %s, want %s", target(u), c.want)
			}
			if invalid != nil && strings.Contains(invalid.Error(), c.key) && len(c.key) > 2 {
				t.Errorf("the error quotes the key: %v", invalid)
			}
		})
	}
}

func TestURLIsRefused(t *testing.T) {
	keys := parsed("p:{id}")
	for sentence, c := range map[string]struct{ url, says string }{
		"nothing":                        {"", "start with http"},
		"another scheme":                 {"ftp://h/{id}", "start with http"},
		"no scheme":                      {"h/{id}", "start with http"},
		"a scheme that is a placeholder": {"{id}://h/", "start with http"},
		"no host":                        {"http:///{id}", "have a host"},
		"only a port":                    {"http://:80/{id}", "have a host"},
		"a placeholder for the host":     {"http://{id}/", "placeholder in the host"},
		"a placeholder behind the host":  {"http://h{id}/", "placeholder in the host"},
		"a placeholder that is the path": {"http://h{+id}", "put a / first"},
		"a placeholder for the port":     {"http://h:{id}/", "placeholder in the host"},
		"a user":                         {"http://me@h/{id}", "Authorization"},
		"a password":                     {"http://me:s3cret@h/{id}", "Authorization"},
		"a password and a bad port":      {"http://me:s3cret@h:x/{id}", "Authorization"},
		"a port that is no number":       {"http://h:x/{id}", "have a host"},
		"a port that is too large":       {"http://h:65536/{id}", "1 to 65535"},
		"port 0":                         {"http://h:0/{id}", "1 to 65535"},
		"a colon without a port":         {"http://h:/{id}", "behind the colon"},
		"a fragment":                     {"http://h/{id}#x", "%23"},
		"a fragment before":              {"http://h#/{id}", "%23"},
		"a brace that is never closed":   {"http://h/{id", "RFC 6570"},
		"a brace that closes nothing":    {"http://h/id}", "RFC 6570"},
		"a space":                        {"http://h/a b", "RFC 6570"},
		"a line break":                   {"http://h/a\nb", "RFC 6570"},
		"a broken escape":                {"http://h/%zz{id}", "RFC 6570"},
		"text beyond ASCII":              {"http://h/é/{id}", "ASCII"},
		"an unknown placeholder":         {"http://h/{sku}", `does not have; use one of its`},
		"an empty placeholder":           {"http://h/{}", "RFC 6570"},
		"a level 3 operator":             {"http://h/{?id}", "only {name} and {+name}"},
		"a fragment operator":            {"http://h/{#id}", "only {name} and {+name}"},
		"a list":                         {"http://h/{id,key}", "only {name} and {+name}"},
		"a prefix modifier":              {"http://h/{id:3}", "only {name} and {+name}"},
		"an explode modifier":            {"http://h/{id*}", "only {name} and {+name}"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := Config{URL: c.url}.Open(keys, loader.Environment{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want an error that says %q", err, c.says)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error quotes a password: %v", err)
			}
		})
	}
}

// Where the library is right, which is for ASCII without NUL, the expansion must
// be the library's.
func TestExpandAgreesWithUritemplate(t *testing.T) {
	for c := byte(1); c < 0x80; c++ {
		value := "a" + string(c) + "b"
		for _, expression := range []string{"{x}", "{+x}"} {
			want, err := uritemplate.MustNew(expression).Expand(uritemplate.Values{"x": uritemplate.String(value)})
			if err != nil {
				t.Fatal(err)
			}
			raw := expression == "{+x}"
			if raw && c == '#' {
				want = "a%23b"
			}
			if got := string(appendEscaped(nil, value, raw)); got != want {
				t.Errorf("%s of %q: got %s, want %s", expression, value, got, want)
			}
		}
	}
}

// expand returns the URL of a key, having seen to it that its target is the same.
func (x *expander) expand(t testing.TB, key string) (*url.URL, *loader.Error) {
	target, invalid := x.target(key)
	b, _, never := x.append(nil, key)
	if never != nil {
		return nil, never
	}
	u, wrong := x.parse(b)
	if (wrong == nil) != (invalid == nil) || wrong == nil && u.RequestURI() != target {
		t.Errorf("the target of %q is %s, %v, but its URL is %s, %v", key, target, invalid, u, wrong)
	}
	return u, wrong
}

func TestPlainTemplates(t *testing.T) {
	keys := parsed("p:{id}")
	for template, want := range map[string]bool{
		"http://h/{id}":             true,
		"http://h:80/a/{id}.json?k": true,
		"http://h/?k={+id}&l={key}": true,
		"http://h/a%2Fb/{id}":       true,
		"http://h?k={id}":           false, // it becomes /?k=
		"http://h/%2{id}":           false, // e would make a dot of it
		"http://h/../{id}":          false,
		"http://h/.{id}":            true,
	} {
		x, err := newExpander(keys, template)
		if err != nil {
			if want {
				t.Errorf("%s: %v", template, err)
			}
			continue
		}
		if x.plain != want {
			t.Errorf("%s: plain %v, want %v", template, x.plain, want)
		}
		for _, key := range []string{"p:1", "p:a-Z_9", "p:e", "p:.", "p:..", "p:2e", "p:a/b"} {
			_, _ = x.expand(t, key)
		}
	}
}

// FuzzExpand: whatever the key, the server sees the parameters' exact bytes, and
// {+name} does not reach another host or climb.
func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"1:2", "\xff\x00:\r\n", "%2e%2e:../..", "a#b:c#d", "//evil:@evil/", "[::1]:80", "é:€"} {
		f.Add(seed)
	}
	keys := parsed("{a}:{+b}")
	exact, err := newExpander(keys, "http://h.test:80/v1/{a}x/{b}?k={key}")
	if err != nil {
		f.Fatal(err)
	}
	passing, err := newExpander(keys, "https://h.test/{+b}/{+a}?k={+key}")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key string) {
		params, ok := keys.Match(key, nil)
		if !ok {
			return
		}
		if u, invalid := exact.expand(t, key); invalid == nil {
			seen, err := url.Parse("http://h.test:80" + u.RequestURI())
			if err != nil {
				t.Fatalf("%q makes %s, which cannot be read: %v", key, u.RequestURI(), err)
			}
			if want := "/v1/" + params[0] + "x/" + params[1]; seen.Path != want {
				t.Errorf("path %q, want %q", seen.Path, want)
			}
			if segments := strings.Split(seen.EscapedPath(), "/"); len(segments) != 4 {
				t.Errorf("%q adds segments: %q", key, segments)
			}
			if query, err := url.ParseQuery(seen.RawQuery); err != nil || len(query) != 1 || query.Get("k") != key {
				t.Errorf("query %q of key %q, %v", query, key, err)
			}
		}
		if u, invalid := passing.expand(t, key); invalid == nil {
			line := u.RequestURI()
			if u.Host != "h.test" || u.Scheme != "https" || !strings.HasPrefix(line, "/") || strings.ContainsAny(line, "# \r\n\x00") {
				t.Errorf("%q makes %s with target %q", key, u, line)
			}
			if joined := (&url.URL{Path: "/"}).JoinPath(u.Path); hasDotSegment(u.Path) || strings.Contains(joined.Path, "/../") {
				t.Errorf("%q climbs: %s", key, u.Path)
			}
		}
	})
}
