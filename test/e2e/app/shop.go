// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// round is how often each key is read.
const round = 100 * time.Millisecond

// shop is an application that knows nothing of Keepfresh: it reads its cache,
// and asks the backend itself for what is not there.
type shop struct {
	redis   *redis.Client
	backend string
	expire  time.Duration
	keys    int

	mu     sync.Mutex
	counts counts
}

type counts struct {
	Reads  int `json:"reads"`
	Misses int `json:"misses"` // the key was not there, and the reader had to wait
	Errors int `json:"errors"` // Redis did not answer
}

func newShop(ctx context.Context) (*shop, error) {
	expire, err := time.ParseDuration(os.Getenv("EXPIRE"))
	if err != nil {
		return nil, fmt.Errorf("EXPIRE: %w", err)
	}
	keys, err := strconv.Atoi(os.Getenv("KEYS"))
	if err != nil {
		return nil, fmt.Errorf("KEYS: %w", err)
	}
	client := redis.NewClient(&redis.Options{Addr: os.Getenv("REDIS"), Password: os.Getenv("REDIS_PASSWORD"), DialTimeout: time.Second})
	context.AfterFunc(ctx, func() { _ = client.Close() })
	return &shop{redis: client, backend: os.Getenv("BACKEND"), expire: expire, keys: keys}, nil
}

func (s *shop) run(ctx context.Context) {
	for tick := time.Tick(round); ; {
		for i := range s.keys {
			if err := s.read(ctx, strconv.Itoa(i)); err != nil && ctx.Err() == nil {
				log.Print(err)
				time.Sleep(round)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
	}
}

// read does what a service with a cache in front of a backend does.
func (s *shop) read(ctx context.Context, id string) error {
	key := "product:" + id
	err := s.redis.Get(ctx, key).Err()
	s.count(err)
	if !errors.Is(err, redis.Nil) {
		return err
	}
	value, err := s.load(ctx, id)
	if err != nil {
		return err
	}
	return s.redis.Set(ctx, key, value, s.expire).Err()
}

func (s *shop) load(ctx context.Context, id string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.backend+"/products/"+id, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("product %s: %s", id, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func (s *shop) count(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.counts.Reads++
	case errors.Is(err, redis.Nil):
		s.counts.Reads++
		s.counts.Misses++
	default:
		s.counts.Errors++
	}
}

func (s *shop) serve(mux *http.ServeMux) {
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		answer(w, s.counts)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		found, err := s.redis.Keys(r.Context(), r.URL.Query().Get("match")).Result()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		answer(w, found)
	})
}
