// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"net/http"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
)

// Method is that of a load: of one key, or of a batch of keys.
func Method(batch bool) string {
	if batch {
		return http.MethodPost
	}
	return http.MethodGet
}

// URL is what a load of a key gets, of the keys that match t. An error says why
// no load of it is sent.
func URL(t *keyspace.Template, template, key string) (string, error) {
	urls, err := newExpander(t, template)
	if err != nil {
		return "", err
	}
	target, invalid := urls.target(key)
	if invalid != nil {
		return "", invalid
	}
	return urls.before + target, nil
}
