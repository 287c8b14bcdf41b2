// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/plugin/screen"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time    { return metav1.NewTime(now.Add(-d)) }
func since(d time.Duration) *metav1.Time { t := ago(d); return &t }

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: 2, LastTransitionTime: ago(3 * time.Hour)}
}

// well is a policy that is kept fresh.
func well(changes ...func(*cachev1alpha1.CachePolicy)) *cachev1alpha1.CachePolicy {
	p := &cachev1alpha1.CachePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "catalog", Namespace: "shop", Generation: 2, CreationTimestamp: ago(48 * time.Hour)},
		Spec: cachev1alpha1.CachePolicySpec{
			Redis:  cachev1alpha1.Redis{Addresses: []string{"redis.shop.svc:6379"}, Database: 3},
			Expire: &cachev1alpha1.Duration{Duration: time.Minute},
			Keyspaces: []cachev1alpha1.Keyspace{
				{Name: "products", Key: "product:{id}"},
				{Name: "home", Key: "page:{locale}:home", Expire: &cachev1alpha1.Duration{Duration: 5 * time.Minute}, RefreshRatio: "50%"},
			},
		},
		Status: cachev1alpha1.CachePolicyStatus{
			ObservedGeneration: 2, Keys: new(int64(1202)), Fresh: "100%", Stale: new(int64), Missing: new(int64),
			LastRefreshTime: since(2 * time.Second), LastMeasureTime: since(20 * time.Second),
			Conditions: []metav1.Condition{
				condition("Ready", "True", "KeepingFresh", "all keyspaces are kept fresh"),
				condition("RedisReachable", "True", "Connected", "Redis 7.0.15 answers"),
			},
			Keyspaces: []cachev1alpha1.KeyspaceStatus{
				{Name: "products", Keys: 1200, Fresh: "100%", Ignored: 4, RequiredLoadsPerSecond: "32", AchievedLoadsPerSecond: "34", LastRefreshTime: since(2 * time.Second), OldestLoadTime: since(36 * time.Second)},
				{Name: "home", Keys: 2, Fresh: "100%", RequiredLoadsPerSecond: "0.01", AchievedLoadsPerSecond: "0.01", LastRefreshTime: since(90 * time.Second)},
			},
		},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func ill(p *cachev1alpha1.CachePolicy) {
	p.Status.Fresh, p.Status.Stale, p.Status.Missing = "91.6%", new(int64(90)), new(int64(10))
	k := &p.Status.Keyspaces[0]
	k.Fresh, k.Stale, k.Missing = "91.6%", 90, 10
	k.LastFailure = &cachev1alpha1.Failure{Time: ago(4 * time.Second), Reason: "Timeout", Message: "product:17: no answer from http://catalog.shop.svc/products/17 within the timeout of 2s of the loader"}
	p.Status.Conditions = []metav1.Condition{
		condition("Ready", "False", "LoadsFailing", "loads fail in a row for products"),
		condition("LoadersHealthy", "False", "LoadsFailing", "loads fail in a row for products"),
		condition("Fresh", "Unknown", "FreshnessUnknown", "the keys have not been counted, or Redis cannot be asked"),
		condition("Warning", "True", "GuardTimeoutTooLong", `keyspace "products": guardTimeout 30s is not less than the 22.8s between a key's being due and its expiry`),
	}
}

func asked(p *cachev1alpha1.CachePolicy) {
	p.Annotations = map[string]string{cachev1alpha1.RefreshRequestedAtAnnotation: "now", cachev1alpha1.RefreshKeyspacesAnnotation: "home"}
}

func suspended(p *cachev1alpha1.CachePolicy) {
	p.Spec.Suspend, p.Status.Keyspaces = true, nil
	p.Status.Keys, p.Status.Stale, p.Status.Missing, p.Status.Fresh, p.Status.LastMeasureTime = nil, nil, nil, "", nil
	p.Status.Conditions = []metav1.Condition{condition("Ready", "False", "Suspended", "spec.suspend is true: nothing is refreshed")}
}

func unseen(p *cachev1alpha1.CachePolicy) { p.Status = cachev1alpha1.CachePolicyStatus{} }
func edited(p *cachev1alpha1.CachePolicy) { p.Generation = 3 }
func silent(p *cachev1alpha1.CachePolicy) {
	p.Status.LastMeasureTime = since(10 * time.Minute)
	p.Status.Keyspaces[0].OldestLoadTime = since(10*time.Minute + 16*time.Second)
}

func TestWhatIsPrintedOfPolicies(t *testing.T) {
	painted, err := screen.NewPalette("always", nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := View{Now: now}
	for file, text := range map[string]string{
		"well.txt":      plain.Policy(Of(well(), now)),
		"ill.txt":       plain.Policy(Of(well(ill), now)),
		"asked.txt":     plain.Policy(Of(well(asked), now)),
		"suspended.txt": plain.Policy(Of(well(suspended), now)),
		"unseen.txt":    plain.Policy(Of(well(unseen), now)),
		"edited.txt":    plain.Policy(Of(well(edited), now)),
		"silent.txt":    plain.Policy(Of(well(silent), now)),
		"live.txt":      View{Palette: painted, Now: now, Bars: true}.Policy(Of(well(ill), now)),
		"top.txt":       plain.Top([]Policy{Of(well(), now), Of(well(ill), now), Of(well(suspended), now), Of(well(silent), now)}, true),
		"top-live.txt":  View{Now: now, Bars: true}.Top([]Policy{Of(well(ill), now), Of(well(unseen), now)}, false),
	} {
		golden(t, file, text)
	}
	encoded, err := yaml.Marshal(Of(well(ill, asked), now))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "policy.yaml", string(encoded))
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got\n%s", path, got)
	}
}

func TestAStatusIsBelievedOnlyForTheSpecItSpeaksOf(t *testing.T) {
	for sentence, c := range map[string]struct {
		change func(*cachev1alpha1.CachePolicy)
		ready  metav1.ConditionStatus
		silent bool
	}{
		"all is well":                            {func(*cachev1alpha1.CachePolicy) {}, "True", false},
		"the spec was changed":                   {edited, "Unknown", false},
		"the operator has not seen it":           {unseen, "Unknown", true},
		"it was made a moment ago":               {func(p *cachev1alpha1.CachePolicy) { unseen(p); p.CreationTimestamp = ago(time.Second) }, "Unknown", false},
		"the operator has told nothing for long": {silent, "True", true},
		"nothing is measured while suspended":    {suspended, "False", false},
	} {
		if got := Of(well(c.change), now); got.Ready != c.ready || got.Silent != c.silent {
			t.Errorf("%s: ready %s, silent %v", sentence, got.Ready, got.Silent)
		}
	}
}

func micro(d time.Duration) *metav1.MicroTime { t := metav1.NewMicroTime(now.Add(d)); return &t }
func span(d time.Duration) *cachev1alpha1.Duration {
	return &cachev1alpha1.Duration{Duration: d}
}

func TestWhatIsPrintedOfAKey(t *testing.T) {
	owned := Explanation{Policy: "shop/catalog", Key: "product:42", KeyExplanationStatus: cachev1alpha1.KeyExplanationStatus{
		ObservedAt: micro(0), Owned: true, Reason: "TemplateMatches", Message: `the key matches the template "product:{id}"`, Keyspace: "products",
		Parameters: []cachev1alpha1.KeyParameter{{Name: "id", Value: "42"}},
		Loader:     &cachev1alpha1.KeyLoader{Method: "GET", URL: "http://catalog.shop.svc/products/42", Headers: []string{"Authorization"}},
		State:      cachev1alpha1.KeyFresh, TTL: span(47300 * time.Millisecond), Age: span(12700 * time.Millisecond), Expire: span(time.Minute),
		Tracked: true, DueTime: micro(22 * time.Second), NextAttemptTime: micro(22 * time.Second), Guard: &cachev1alpha1.KeyGuard{},
		LastLoadTime: micro(-12700 * time.Millisecond), LastOutcome: &cachev1alpha1.KeyOutcome{Time: *micro(-12680 * time.Millisecond), Outcome: "Committed"},
		Breaker: cachev1alpha1.BreakerClosed,
	}}
	failing := owned
	failing.State, failing.TTL, failing.Age, failing.DueTime = cachev1alpha1.KeyMissing, nil, nil, micro(-3*time.Second)
	failing.Guard = &cachev1alpha1.KeyGuard{Held: true, Holder: cachev1alpha1.HeldByOther, TTL: span(1234 * time.Millisecond)}
	failing.LastOutcome = &cachev1alpha1.KeyOutcome{Time: *micro(-time.Second), Outcome: "Failed", Reason: "Timeout", Message: "no answer within 2s"}
	failing.Failures, failing.Breaker = 3, cachev1alpha1.BreakerOpen
	foreign := Explanation{Policy: "shop/catalog", Key: "order:1", KeyExplanationStatus: cachev1alpha1.KeyExplanationStatus{
		ObservedAt: micro(0), Reason: "NoTemplateMatches", Message: "no keyspace's template matches the key", Problem: "Redis cannot be reached"}}
	for file, e := range map[string]Explanation{"owned.txt": owned, "failing.txt": failing, "foreign.txt": foreign} {
		golden(t, file, View{}.Explanation(e))
	}
	if text := (View{}).Explanation(owned); strings.Contains(text, "Failures") || strings.Contains(text, "Breaker") {
		t.Error("what is not wrong is mentioned")
	}
}
