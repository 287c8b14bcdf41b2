// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// metricsOptions say where metrics are, and for whom.
type metricsOptions struct {
	addr    string
	secure  bool
	certDir string
}

func (o *metricsOptions) bind(flags *flag.FlagSet) {
	flags.StringVar(&o.addr, "metrics-bind-address", ":8443", "Where to serve /metrics; 0 serves none.")
	flags.BoolVar(&o.secure, "metrics-secure", true, "Serve metrics by HTTPS, to those who may get /metrics by the API server's RBAC; if false, by HTTP to everybody.")
	flags.StringVar(&o.certDir, "metrics-cert-dir", "", "The folder of tls.crt and tls.key for metrics, read again when they change; self-signed if empty.")
}

// server returns the options of controller-runtime's server, and what keeps an
// eye on the certificate's files, if there are any.
func (o *metricsOptions) server() (metricsserver.Options, *certwatcher.CertWatcher, error) {
	options := metricsserver.Options{BindAddress: o.addr}
	if o.addr == "0" || !o.secure {
		if o.addr != "0" && o.certDir != "" {
			return options, nil, errors.New("--metrics-cert-dir is of no use with --metrics-secure=false: remove one of them")
		}
		return options, nil, nil
	}
	options.SecureServing = true
	options.FilterProvider = whoMay
	options.TLSOpts = []func(*tls.Config){func(c *tls.Config) {
		c.MinVersion = tls.VersionTLS12
		c.NextProtos = []string{"http/1.1"} // a scrape gains nothing from HTTP/2, and its resets have flooded servers (CVE-2023-44487)
	}}
	if o.certDir == "" {
		return options, nil, nil
	}
	watcher, err := certwatcher.New(filepath.Join(o.certDir, "tls.crt"), filepath.Join(o.certDir, "tls.key"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return options, nil, fmt.Errorf("--metrics-cert-dir has to hold tls.crt and tls.key (without the flag, the certificate is self-signed): %w", err)
	case err != nil:
		return options, nil, fmt.Errorf("--metrics-cert-dir %s holds no pair of certificate and key that can be used: %w", o.certDir, err)
	}
	options.TLSOpts = append(options.TLSOpts, func(c *tls.Config) { c.GetCertificate = watcher.GetCertificate })
	return options, watcher, nil
}
