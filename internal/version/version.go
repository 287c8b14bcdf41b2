// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package version tells which Keepfresh this is.
package version

import (
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// stamped is set by the linker where Go cannot tell: in an image's build, which
// may see no git, and for a release's name.
//
//	-ldflags '-X github.com/keepfresh/keepfresh/internal/version.stamped=v1.2.3'
var stamped string

// Info is what is known of a build.
type Info struct {
	Version   string // v1.2.3, or what Go derives from git
	Revision  string // of git; empty if the build saw none
	GoVersion string
	Platform  string // linux/amd64
}

// Get returns this program's.
var Get = sync.OnceValue(func() Info {
	info, _ := debug.ReadBuildInfo()
	return describe(stamped, info)
})

func describe(stamped string, build *debug.BuildInfo) Info {
	i := Info{Version: stamped, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build == nil {
		build = &debug.BuildInfo{}
	}
	if i.Version == "" {
		i.Version = build.Main.Version
	}
	if i.Version == "" || i.Version == "(devel)" {
		i.Version = "unknown"
	}
	dirty := ""
	for _, s := range build.Settings {
		switch {
		case s.Key == "vcs.revision":
			i.Revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if i.Revision != "" {
		i.Revision += dirty
	}
	return i
}

// String is what --version prints.
func (i Info) String() string {
	revision := ""
	if i.Revision != "" {
		revision = "revision " + i.Revision + ", "
	}
	return i.Version + " (" + revision + i.GoVersion + ", " + i.Platform + ")"
}

// Collector is the metric keepfresh_build_info: always 1, with the version for
// labels, to be joined with others.
func (i Info) Collector() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "keepfresh_build_info",
		Help: "Which build of Keepfresh runs, in its labels; always 1.",
		ConstLabels: prometheus.Labels{
			"version": i.Version, "revision": i.Revision, "goversion": i.GoVersion, "goos": runtime.GOOS, "goarch": runtime.GOARCH,
		},
	}, func() float64 { return 1 })
}
