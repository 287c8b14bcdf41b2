// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// read has readAnswer read, for the keys p:1 to p:4.
func read(answer string) ([]loader.Result, string) {
	keys := []string{"p:1", "p:2", "p:3", "p:4"}
	results := make([]loader.Result, len(keys))
	return results, readAnswer([]byte(answer), batch{keys, results})
}

// outcomes writes results in short: a value, or the reason that there is none.
func outcomes(results []loader.Result) string {
	var all []string
	for _, r := range results {
		if r.Err != nil {
			all = append(all, string(r.Err.Reason))
		} else if r.Value == nil {
			all = append(all, "nil")
		} else {
			all = append(all, fmt.Sprintf("%q", r.Value))
		}
	}
	return strings.Join(all, " ")
}

const left = " NotAnswered NotAnswered NotAnswered"

func TestAnswer(t *testing.T) {
	response := schema(t, "response")
	for sentence, c := range map[string]struct {
		answer string
		want   string
	}{
		"a value":                       {`{"values":{"p:1":"one"}}`, `"one"` + left},
		"an empty value":                {`{"values":{"p:1":""}}`, `""` + left},
		"a value with escapes":          {`{"values":{"p:1":"\"\\\n\u0000\u00e9\ud83d\ude00\/"}}`, `"\"\\\n\x00é😀/"` + left},
		"a value that is JSON":          {`{"values":{"p:1":"{\"id\": 1}"}}`, `"{\"id\": 1}"` + left},
		"a value that says null":        {`{"values":{"p:1":"null"}}`, `"null"` + left},
		"a key with escapes":            {`{"values":{"\u0070:1":"one","p\u003a2":"two"}}`, `"one" "two" NotAnswered NotAnswered`},
		"bytes":                         {`{"binaryValues":{"p:1":"AP8K"}}`, `"\x00\xff\n"` + left},
		"no bytes":                      {`{"binaryValues":{"p:1":""}}`, `""` + left},
		"padded bytes":                  {`{"binaryValues":{"p:1":"AA==","p:2":"AAA="}}`, `"\x00" "\x00\x00" NotAnswered NotAnswered`},
		"escaped base64":                {`{"binaryValues":{"p:1":"\/\/8\u003d"}}`, `"\xff\xff"` + left},
		"everything":                    {`{"values":{"p:1":"one"},"binaryValues":{"p:2":"AA=="},"notFound":["p:3"],"failed":["p:4"]}`, `"one" "\x00" NotFound KeyFailed`},
		"any order":                     {`{"failed":["p:2"],"notFound":["p:4","p:1"],"values":{"p:3":"three"}}`, `NotFound KeyFailed "three" NotFound`},
		"the order reversed":            {`{"values":{"p:4":"4","p:3":"3","p:2":"2","p:1":"1"}}`, `"1" "2" "3" "4"`},
		"white space":                   {" \r\n\t{ \"values\" : { \"p:1\" : \"one\" } }\n", `"one"` + left},
		"nothing":                       {`{}`, `NotAnswered` + left},
		"nothing, at length":            {`{"values":{},"binaryValues":{},"notFound":[],"failed":[]}`, `NotAnswered` + left},
		"null, as Go writes a nil map":  {`{"values":null,"binaryValues":null,"notFound":null,"failed":null}`, `NotAnswered` + left},
		"keys that nobody asked for":    {`{"values":{"x":"y","p:5":"five","p:1":"one"},"notFound":["p:6"],"failed":["z"]}`, `"one"` + left},
		"members that nobody knows":     {`{"took":1.5,"values":{"p:1":"one"},"debug":{"a":[{"values":{"p:2":"two"}}]}}`, `"one"` + left},
		"names that differ in one case": {`{"Values":{"p:1":"one"},"values":{"P:1":"two"}}`, `NotAnswered` + left},
	} {
		t.Run(sentence, func(t *testing.T) {
			results, why := read(c.answer)
			if why != "" {
				t.Fatalf("not read, as %s", why)
			}
			if got := outcomes(results); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if err := fits(t, response, []byte(c.answer)); err != nil {
				t.Errorf("the schema says: %v", err)
			}
		})
	}
}

// What is wrong with one key harms no other.
func TestAnswerWithAKeyThatIsWrong(t *testing.T) {
	response := schema(t, "response")
	for sentence, c := range map[string]struct {
		answer string
		says   string
		twice  bool // which a schema cannot see
	}{
		"null":                       {`{"values":{"p:1":null,"p:2":"two"}}`, "notFound", false},
		"a number":                   {`{"values":{"p:1":1,"p:2":"two"}}`, "not a string", false},
		"a truth":                    {`{"values":{"p:1":true,"p:2":"two"}}`, "not a string", false},
		"an object":                  {`{"values":{"p:1":{"p:2":"x"},"p:2":"two"}}`, "encoded into one", false},
		"an array":                   {`{"values":{"p:1":["p:2"],"p:2":"two"}}`, "not a string", false},
		"no base64":                  {`{"binaryValues":{"p:1":"?"},"values":{"p:2":"two"}}`, "base64", false},
		"base64 of URLs":             {`{"binaryValues":{"p:1":"_-8="},"values":{"p:2":"two"}}`, "base64", false},
		"base64 without padding":     {`{"binaryValues":{"p:1":"AA"},"values":{"p:2":"two"}}`, "base64", false},
		"base64 that is a number":    {`{"binaryValues":{"p:1":12},"values":{"p:2":"two"}}`, "not a string", false},
		"base64 with bits left over": {`{"binaryValues":{"p:1":"AB=="},"values":{"p:2":"two"}}`, "base64", true},
		"two values":                 {`{"values":{"p:1":"a","p:2":"two","p:1":"a"}}`, "more than once", true},
		"two values in two objects":  {`{"values":{"p:1":"a"},"values":{"p:1":"a","p:2":"two"}}`, "more than once", true},
		"two kinds of value":         {`{"values":{"p:1":"a","p:2":"two"},"binaryValues":{"p:1":"AA=="}}`, "more than once", true},
		"a value and none":           {`{"values":{"p:1":"a","p:2":"two"},"notFound":["p:1"]}`, "more than once", true},
		"none and a value":           {`{"notFound":["p:1"],"values":{"p:1":"a","p:2":"two"}}`, "more than once", true},
		"none, and failed":           {`{"notFound":["p:1"],"failed":["p:1"],"values":{"p:2":"two"}}`, "more than once", true},
		"none three times":           {`{"notFound":["p:1","p:1","p:1"],"values":{"p:2":"two"}}`, "more than once", true},
	} {
		t.Run(sentence, func(t *testing.T) {
			results, why := read(c.answer)
			if got, want := outcomes(results), `BodyBroken "two" NotAnswered NotAnswered`; why != "" || got != want {
				t.Fatalf("got  %s %s\nwant %s", got, why, want)
			}
			if got := results[0].Err.Message; !strings.Contains(got, c.says) {
				t.Errorf("got %q, want it to say %q", got, c.says)
			}
			if err := fits(t, response, []byte(c.answer)); (err == nil) != c.twice {
				t.Errorf("the schema says: %v", err)
			}
		})
	}
}

func TestAnswerThatIsNone(t *testing.T) {
	response := schema(t, "response")
	const says = "as docs/loader.md has it"
	for sentence, c := range map[string]struct{ answer, says string }{
		"nothing":                  {"", "not JSON"},
		"white space":              {" \n", "not JSON"},
		"a page":                   {"<html>s3cret</html>", "not JSON"},
		"cut off":                  {`{"values":{"p:1":"s3cret`, "not JSON"},
		"cut off behind a value":   {`{"values":{"p:1":"s3cret"}`, "not JSON"},
		"cut off in a list":        {`{"notFound":["p:1"`, "not JSON"},
		"a comma too many":         {`{"values":{"p:1":"s3cret",}}`, "not JSON"},
		"NaN":                      {`{"values":{"p:1":NaN}}`, "not JSON"},
		"a leading zero":           {`{"x":01}`, "not JSON"},
		"no UTF-8":                 {"{\"values\":{\"p:1\":\"\xff\"}}", "not JSON"},
		"no UTF-8 in a stranger":   {"{\"x\":\"\xff\"}", "not JSON"},
		"half a surrogate":         {`{"values":{"p:1":"\ud83d"}}`, "not JSON"},
		"a control character":      {"{\"values\":{\"p:1\":\"\n\"}}", "not JSON"},
		"a byte order mark":        {"\ufeff{}", "not JSON"},
		"deep nesting":             {`{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", "not JSON"},
		"deep nesting for a value": {`{"values":{"p:1":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000) + "}}", "not JSON"},
		"a string":                 {`"values"`, says},
		"null":                     {"null", says},
		"an array":                 {`[{"values":{"p:1":"s3cret"}}]`, says},
		"values in an array":       {`{"values":["s3cret"]}`, "values is not " + says},
		"values in a string":       {`{"binaryValues":"s3cret"}`, "binaryValues is not " + says},
		"an object of missing":     {`{"notFound":{"p:1":true}}`, "notFound is not " + says},
		"numbers of missing":       {`{"failed":[1]}`, "failed is not " + says},
		"null for a missing one":   {`{"notFound":[null]}`, "notFound is not " + says},
		"two objects":              {`{}{}`, "behind the object"},
		"something behind":         {`{"values":{"p:1":"s3cret"}} s3cret`, "behind the object"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, why := read(c.answer)
			if !strings.Contains(why, c.says) || strings.Contains(why, secret) {
				t.Errorf("got %q, want it to say %q", why, c.says)
			}
			if len(c.answer) < 1000 && sentence != "half a surrogate" && !strings.HasPrefix(sentence, "no UTF-8") {
				if err := fits(t, response, []byte(c.answer)); err == nil {
					t.Error("the schema has nothing against it")
				}
			}
		})
	}
}

// An answer of any shape is read in memory that its size bounds.
func TestAnswerTakesBoundedMemory(t *testing.T) {
	const size = 2 << 20
	fill := func(head, item, tail string) string {
		return head + strings.Repeat(item+",", (size-len(head)-len(tail))/(len(item)+1)) + item + tail
	}
	for sentence, answer := range map[string]string{
		"one key, over and over":       fill(`{"values":{`, `"p:1":""`, `}}`),
		"a missing key, over and over": fill(`{"notFound":[`, `"p:1"`, `]}`),
		"strangers":                    fill(`{"values":{`, `"x":""`, `}}`),
		"members":                      fill(`{`, `"values":{"p:1":null}`, `}`),
		"what nobody knows":            fill(`{"x":[`, `{}`, `]}`),
		"a value of escapes":           `{"values":{"p:1":"` + strings.Repeat(`\u0000`, size/6) + `"}}`,
		"a key of escapes":             `{"values":{"` + strings.Repeat(`\u0000`, size/6) + `":""}}`,
	} {
		t.Run(sentence, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, why := read(answer); why != "" {
				t.Fatal(why)
			}
			runtime.ReadMemStats(&after)
			// read copies the answer once; the rest is what was asked for.
			if took := after.TotalAlloc - before.TotalAlloc; took > 4*size {
				t.Errorf("took %d bytes in all for an answer of %d", took, len(answer))
			}
		})
	}
}

// FuzzAnswer reads anything, and compares what it makes of JSON with what
// encoding/json does.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"values":{"p:1":"one"},"binaryValues":{"p:2":"AA=="},"notFound":["p:3"],"failed":["p:4"]}`)
	f.Add(`{"values":{"p:1":"a","p:1":null,"\u0070:2":"\ud83d\ude00"}}`)
	f.Add(`{"values":{"p:1":NaN}}`)
	f.Add(`{"values":[],"notFound":[1]}{}`)
	f.Fuzz(func(t *testing.T, answer string) {
		results, why := read(answer)
		if why != "" {
			return
		}
		if !json.Valid([]byte(answer)) {
			t.Fatal("read what is not JSON")
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(answer), &members); err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if (r.Err == nil) == (r.Value == nil) {
				t.Fatalf("key %d has neither a value nor an error, or both", i)
			}
			// Which of two members of one name is meant, encoding/json says otherwise.
			if r.Err == nil && strings.Count(answer, "alues") <= 2 && !strings.Contains(answer, `\`) {
				key := fmt.Sprintf("p:%d", i+1)
				if !holds(members["values"], key, string(r.Value)) && !holds(members["binaryValues"], key, base64.StdEncoding.EncodeToString(r.Value)) {
					t.Fatalf("%s got %q", key, r.Value)
				}
			}
		}
	})
}

// holds says whether an object has a string for a key.
func holds(object json.RawMessage, key, want string) bool {
	var all map[string]any
	_ = json.Unmarshal(object, &all)
	got, ok := all[key].(string)
	return ok && got == want
}

// FuzzQuestion asks for anything that is UTF-8, and has encoding/json read it.
func FuzzQuestion(f *testing.F) {
	f.Add("p:1", "p:\"\\\n\x00é😀")
	f.Fuzz(func(t *testing.T, a, b string) {
		body := appendQuestion(nil, []string{a, b})
		if a != strings.ToValidUTF8(a, "") || b != strings.ToValidUTF8(b, "") {
			return // never asked for
		}
		var question struct{ Keys []string }
		if err := json.Unmarshal(body, &question); err != nil || len(question.Keys) != 2 || question.Keys[0] != a || question.Keys[1] != b {
			t.Fatalf("%s: got %q, %v", body, question.Keys, err)
		}
	})
}

// BenchmarkAnswer reads answers of 100 keys, in the order in which they were
// asked for and in another, and says what a key costs. Next to it stands
// encoding/json, which does not find repeated keys, and keeps strangers.
func BenchmarkAnswer(b *testing.B) {
	const n = 100
	keys := someKeys(n)
	document := strings.Repeat(`{"name":"x"},`, 20) // 260 bytes, a quarter of them quotes
	plain := strings.Repeat("x", 256)
	for _, c := range []struct {
		name  string
		value string
		order func(i int) int
	}{
		{"plain", plain, func(i int) int { return i }},
		{"shuffled", plain, func(i int) int { return i * 37 % n }},
		{"documents", document, func(i int) int { return i }},
	} {
		var body bytes.Buffer
		body.WriteString(`{"values":{`)
		for i := range n {
			if i > 0 {
				body.WriteByte(',')
			}
			value, _ := json.Marshal(c.value)
			fmt.Fprintf(&body, "%q:%s", keys[c.order(i)], value)
		}
		body.WriteString(`}}`)
		perKey := func(b *testing.B) { b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key") }
		b.Run(c.name, func(b *testing.B) {
			results := make([]loader.Result, n)
			b.ReportAllocs()
			for b.Loop() {
				if why := readAnswer(body.Bytes(), batch{keys, results}); why != "" || results[7].Err != nil {
					b.Fatal(why, results[7].Err)
				}
			}
			perKey(b)
		})
		b.Run(c.name+"-encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var answer struct {
					Values map[string]string `json:"values"`
				}
				if err := json.Unmarshal(body.Bytes(), &answer); err != nil || len(answer.Values) != n {
					b.Fatal(err)
				}
			}
			perKey(b)
		})
	}
}
