// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dnstest runs a name server for tests, on loopback ports.
package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Server answers by UDP and TCP for the names that it was told of, and says of all
// others that there are none.
type Server struct {
	t       testing.TB
	packets *net.UDPConn
	streams net.Listener

	mu     sync.Mutex
	names  map[string][]string
	asked  map[string]int
	cutOff bool
}

// Start starts a server, which ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	packets, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	streams, err := net.Listen("tcp", "127.0.0.1:0") // the other's port may be taken here
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, packets: packets, streams: streams, names: map[string][]string{}, asked: map[string]int{}}
	var loops sync.WaitGroup
	loops.Go(s.servePackets)
	loops.Go(s.serveStreams)
	t.Cleanup(func() {
		_ = packets.Close()
		_ = streams.Close()
		loops.Wait()
	})
	return s
}

// Resolver is one that asks the server and nobody else. (But /etc/hosts goes first, and a
// name that is an address is not asked for.)
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		at := s.packets.LocalAddr()
		if strings.HasPrefix(network, "tcp") {
			at = s.streams.Addr()
		}
		return (&net.Dialer{}).DialContext(ctx, network, at.String())
	}}
}

// Set says what a name means from now on: addresses, or one name more that ends in a dot,
// for which it is an alias.
func (s *Server) Set(name string, means ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[canonical(name)] = means
}

// Asked is how often the addresses of a name were asked for.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[canonical(name)]
}

// OnlyByTCP has answers by UDP say that they are cut off.
func (s *Server) OnlyByTCP() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutOff = true
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) + "." }

func (s *Server) servePackets() {
	b := make([]byte, 1<<12)
	for {
		n, from, err := s.packets.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		s.mu.Lock()
		cutOff := s.cutOff
		s.mu.Unlock()
		_, _ = s.packets.WriteToUDPAddrPort(s.answer(b[:n], cutOff), from)
	}
}

func (s *Server) serveStreams() {
	for {
		conn, err := s.streams.Accept()
		if err != nil {
			return
		}
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err == nil {
			question := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, question); err == nil {
				answer := s.answer(question, false)
				_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			}
		}
		_ = conn.Close()
	}
}

func (s *Server) answer(question []byte, cutOff bool) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		s.t.Errorf("a question makes no sense: %v", err)
		return nil
	}
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true, Truncated: cutOff}
	m.Additionals = nil
	if cutOff {
		return s.pack(m)
	}
	name, kind := canonical(m.Questions[0].Name.String()), m.Questions[0].Type
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == dnsmessage.TypeA {
		s.asked[name]++
	}
	if s.names[name] == nil {
		m.RCode = dnsmessage.RCodeNameError
		return s.pack(m)
	}
	for hops := 0; hops < 16; hops++ {
		header := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET}
		means := s.names[name]
		if len(means) == 1 && strings.HasSuffix(means[0], ".") {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(means[0])}})
			name = canonical(means[0])
			continue
		}
		for _, text := range means {
			switch a := netip.MustParseAddr(text); {
			case a.Is4() && kind == dnsmessage.TypeA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
			case a.Is6() && kind == dnsmessage.TypeAAAA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
			}
		}
		break
	}
	return s.pack(m)
}

func (s *Server) pack(m dnsmessage.Message) []byte {
	packed, err := m.Pack()
	if err != nil {
		s.t.Errorf("an answer cannot be packed: %v", err)
	}
	return packed
}
