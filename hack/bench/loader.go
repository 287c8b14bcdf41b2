// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"log"
	"net"

	"github.com/valyala/fasthttp"
)

const (
	loaderCommand = "serve-loads"
	valueSize     = 256
)

var value = bytes.Repeat([]byte("v"), valueSize)

// serveLoads answers each GET with a value, and each POST with many. It is made to cost little, so that
// the machine's cores are left to what is measured.
func serveLoads() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) {
		if !c.IsPost() {
			c.SetContentType("application/octet-stream")
			c.SetBody(value)
			return
		}
		body, err := answerBatch(c.PostBody())
		if err != nil {
			c.Error(err.Error(), fasthttp.StatusBadRequest)
			return
		}
		c.SetContentType("application/json")
		c.SetBody(body)
	}}
	log.Fatal(server.Serve(listener))
}
