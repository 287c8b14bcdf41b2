// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync/atomic"

	"golang.org/x/net/dns/dnsmessage"
)

// answers sees what name servers say of a host that has to be a Service of one namespace.
// A Service may be an alias for any name (ExternalName), and a name that is not whole may
// be found below another domain: so what counts is whose the addresses are that the
// answer has. It is seen in the very answer that is used; a second question might be
// answered otherwise.
type answers struct {
	within  string // what the full names end in
	outside atomic.Bool
}

// resolver asks as another one would, nil being the usual.
func (a *answers) resolver(usual *net.Resolver) *net.Resolver {
	dial := (&net.Dialer{}).DialContext
	if usual != nil && usual.Dial != nil {
		dial = usual.Dial
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if packets, ok := conn.(*net.UDPConn); ok {
			return &datagrams{packets, a}, nil
		}
		return &stream{Conn: conn, to: a}, nil
	}}
}

// see looks at a message. One that makes no sense is net's to refuse.
func (a *answers) see(message []byte) {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil || p.SkipAllQuestions() != nil {
		return
	}
	for {
		h, err := p.AnswerHeader()
		if err != nil {
			return
		}
		address := h.Type == dnsmessage.TypeA || h.Type == dnsmessage.TypeAAAA
		if address && !strings.HasSuffix(strings.ToLower(h.Name.String()), a.within) {
			a.outside.Store(true)
		}
		if p.SkipAnswer() != nil {
			return
		}
	}
}

// judge refuses a host whose addresses are another name's. Nothing is to be held against
// a host if nobody listened.
func (a *answers) judge(host string) error {
	if a == nil || !a.outside.Load() {
		return nil
	}
	return &Denied{host, "its name is an alias for one outside of the policy's namespace", allowHost}
}

// datagrams are a connection by UDP: what is read is a message.
type datagrams struct {
	*net.UDPConn
	to *answers
}

func (d *datagrams) Read(b []byte) (int, error) {
	n, err := d.UDPConn.Read(b)
	d.to.see(b[:n])
	return n, err
}

// stream is a connection by TCP: messages have their length before them (RFC 1035, 4.2.2).
type stream struct {
	net.Conn
	to   *answers
	have []byte
}

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.have = append(s.have, b[:n]...)
	for len(s.have) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(s.have))
		if len(s.have) < end {
			break
		}
		s.to.see(s.have[2:end])
		s.have = s.have[end:]
	}
	return n, err
}
