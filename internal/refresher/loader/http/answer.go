// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// appendQuestion appends the body of a batch call. The keys are UTF-8.
func appendQuestion(b []byte, keys []string) []byte {
	b = append(b, `{"keys":[`...)
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, key)
	}
	return append(b, "]}"...)
}

// batchAnswer takes in what a loader says of the keys of a batch.
type batchAnswer struct {
	batch
	json     *jsontext.Decoder
	answered []bool
	next     int            // most servers answer in the order in which they were asked
	index    map[string]int // made for one that does not
	name     []byte         // room for a name that has to be unquoted
}

// errShape is in the error of an answer that is JSON, but not as it should be.
var errShape = errors.New("is not as docs/loader.md has it")

// readAnswer sets the result of each key of b, or says why it cannot: a clause
// that quotes nothing of the answer.
func readAnswer(body []byte, b batch) (why string) {
	a := &batchAnswer{
		batch: b,
		// Names that are said twice matter only where they are keys of ours.
		json:     jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true)),
		answered: make([]bool, len(b.keys)),
	}
	switch err := a.read(); {
	case errors.Is(err, errShape):
		return err.Error()
	case err != nil:
		return fmt.Sprintf("its body is not JSON in UTF-8, from byte %d on", a.json.InputOffset())
	}
	for i := range a.keys {
		if !a.answered[i] {
			a.results[i] = loader.Result{Err: loader.Failf(loader.NotAnswered, "the answer to the batch does not mention the key")}
		}
	}
	return ""
}

func (a *batchAnswer) read() error {
	if err := a.open('{', "the body"); err != nil {
		return err
	}
	for a.json.PeekKind() != '}' {
		name, err := a.json.ReadToken()
		if err != nil {
			return err
		}
		switch member := name.String(); member {
		case "values":
			err = a.readValues(member, text)
		case "binaryValues":
			err = a.readValues(member, binary)
		case "notFound":
			err = a.readKeys(member, loader.NotFound, "the answer to the batch lists the key under notFound")
		case "failed":
			err = a.readKeys(member, loader.KeyFailed, "the answer to the batch lists the key under failed")
		default:
			err = a.json.SkipValue()
		}
		if err != nil {
			return err
		}
	}
	if _, err := a.json.ReadToken(); err != nil { // the brace
		return err
	}
	if _, err := a.json.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the body %w: something stands behind the object", errShape)
	}
	return nil
}

// open reads the beginning of an object or array.
func (a *batchAnswer) open(kind jsontext.Kind, what string) error {
	switch got := a.json.PeekKind(); got {
	case kind:
		_, err := a.json.ReadToken()
		return err
	case 0:
		_, err := a.json.ReadToken() // says why
		return err
	default:
		want := "an object"
		if kind == '[' {
			want = "an array"
		}
		return fmt.Errorf("%s %w: it is to be %s", what, errShape, want)
	}
}

// none reads over a member that is null, as a Go map or slice that is nil is.
func (a *batchAnswer) none() bool {
	if a.json.PeekKind() != 'n' {
		return false
	}
	_, err := a.json.ReadToken()
	return err == nil
}

// readValues reads an object with the values of keys.
func (a *batchAnswer) readValues(member string, decode func(jsontext.Value) ([]byte, string)) error {
	if a.none() {
		return nil
	}
	if err := a.open('{', member); err != nil {
		return err
	}
	for a.json.PeekKind() != '}' {
		name, err := a.json.ReadValue()
		if err != nil {
			return err
		}
		place, ours := a.find(name)
		if !ours || !a.first(place) {
			if err := a.json.SkipValue(); err != nil {
				return err
			}
			continue
		}
		raw, err := a.json.ReadValue()
		if err != nil {
			return err
		}
		value, why := decode(raw)
		if a.results[place] = (loader.Result{Value: value}); why != "" {
			a.results[place] = loader.Result{Err: loader.Failf(loader.BodyBroken, "the answer to the batch has a value for the key %s", why)}
		}
	}
	_, err := a.json.ReadToken()
	return err
}

// readKeys reads an array of keys that have no value.
func (a *batchAnswer) readKeys(member string, reason loader.Reason, message string) error {
	if a.none() {
		return nil
	}
	if err := a.open('[', member); err != nil {
		return err
	}
	for a.json.PeekKind() != ']' {
		raw, err := a.json.ReadValue()
		if err != nil {
			return err
		}
		if raw.Kind() != '"' {
			return fmt.Errorf("%s %w: it is to hold keys, which are strings", member, errShape)
		}
		if place, ours := a.find(raw); ours && a.first(place) {
			a.results[place] = loader.Result{Err: &loader.Error{Reason: reason, Message: message}}
		}
	}
	_, err := a.json.ReadToken()
	return err
}

// first says whether a key is mentioned for the first time. Otherwise it fails the
// key: of two answers nobody knows the right one.
func (a *batchAnswer) first(place int) bool {
	if !a.answered[place] {
		a.answered[place] = true
		return true
	}
	if r := &a.results[place]; r.Err == nil || r.Err.Reason != loader.BodyBroken { // which it is already the third time
		*r = loader.Result{Err: loader.Failf(loader.BodyBroken, "the answer to the batch mentions the key more than once")}
	}
	return false
}

// find returns which of the keys a JSON string is.
func (a *batchAnswer) find(quoted jsontext.Value) (place int, ours bool) {
	name := []byte(quoted[1 : len(quoted)-1])
	if bytes.IndexByte(name, '\\') >= 0 {
		a.name = unquote(a.name[:0], quoted)
		name = a.name
	}
	if a.next < len(a.keys) && a.keys[a.next] == string(name) {
		a.next++
		return a.next - 1, true
	}
	if a.index == nil {
		a.index = make(map[string]int, len(a.keys))
		for i, key := range a.keys {
			a.index[key] = i
		}
	}
	if place, ours = a.index[string(name)]; ours {
		a.next = place + 1
	}
	return place, ours
}

// unquote appends what a JSON string says. That it is one has been checked.
func unquote(b []byte, quoted jsontext.Value) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return append(b, inner...)
	}
	b, _ = jsontext.AppendUnquote(b, []byte(quoted))
	return b
}

// text is a value as it is.
func text(raw jsontext.Value) (value []byte, why string) {
	switch raw.Kind() {
	case '"':
		return unquote(make([]byte, 0, len(raw)), raw), "" // so that not even "" is nil
	case 'n':
		return nil, "that is null; a key without a value belongs into notFound"
	default:
		return nil, "that is not a string; a document has to be encoded into one"
	}
}

// binary is a value that is encoded in base64.
func binary(raw jsontext.Value) (value []byte, why string) {
	encoded, why := text(raw)
	if why != "" {
		return nil, why
	}
	n, err := base64.StdEncoding.Strict().Decode(encoded, encoded)
	if err != nil {
		return nil, "that is not base64 with padding (RFC 4648, section 4)"
	}
	return encoded[:n:n], ""
}
