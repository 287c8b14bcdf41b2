// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
)

const batchSize = 100

// question and reply are the wire format of docs/loader.md.
type question struct {
	Keys []string `json:"keys"`
}

type reply struct {
	Values map[string]string `json:"values"`
}

// answerBatch is the loader's side.
func answerBatch(body []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString(`{"values":{`)
	for i, key := range q.Keys {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q:\"%s\"", key, value)
	}
	out.WriteString(`}}`)
	return out.Bytes(), nil
}

var batchVsFloor = benchmark{
	rows: map[string]bar{"batch_vs_floor": {0.28, true}},
	run: func(ctx context.Context, s *stage) (map[string]measured, error) {
		plan := s.plan()
		plan.Keyspaces[0].Loader = httploader.Config{URL: s.loader + "/batch", BatchSize: batchSize}
		engine, floor, err := s.compare(ctx, plan, bareBatches)
		if err != nil {
			return nil, err
		}
		return map[string]measured{"batch_vs_floor": {over(floor.wall, engine.wall), "engine's keys per second / bare loop's"}}, nil
	},
}

// bareBatches is the floor with batches: each loop asks for so many keys at once,
// and writes them in one pipeline.
func bareBatches(ctx context.Context, s *stage, client *http.Client, n int, expire time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var loops sync.WaitGroup
	for range concurrency {
		loops.Go(func() {
			for ctx.Err() == nil {
				from := int(next.Add(batchSize)) - batchSize
				if from >= n {
					return
				}
				if err := s.bareBatch(ctx, client, from, min(from+batchSize, n), expire); err != nil {
					cancel(err)
				}
			}
		})
	}
	loops.Wait()
	return context.Cause(ctx)
}

func (s *stage) bareBatch(ctx context.Context, client *http.Client, from, to int, expire time.Duration) error {
	var q question
	for i := from; i < to; i++ {
		q.Keys = append(q.Keys, keyOf(i))
	}
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.loader+"/batch", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return err
	}
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return err
	}
	if len(r.Values) != to-from {
		return fmt.Errorf("the loader answered %d of %d keys (%s)", len(r.Values), to-from, resp.Status)
	}
	_, err = s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for key, value := range r.Values {
			p.Set(ctx, key, value, expire)
		}
		return nil
	})
	return err
}
