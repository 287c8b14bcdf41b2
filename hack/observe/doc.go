// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package observe checks what is in dashboards/ and docs/runbooks/. Two real
// operators under load are scraped by a real Prometheus; each fault that an alert
// is for is really caused, and healed again; and every expression of the
// dashboard is evaluated meanwhile. It has tests only: make observe.
//
//	application ──► Redis ◄── operator ×2 ◄── scrapes ── Prometheus ◄── the test
//	                  loader ◄──┘  └──► API server
package observe
