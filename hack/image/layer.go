// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nonroot is the user that distroless images know by this name as well.
const nonroot = "65532:65532"

const (
	passwd = `root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
`
	group = `root:x:0:
nobody:x:65534:
tty:x:5:
nonroot:x:65532:
`
	nsswitch = "hosts: files dns\n"
)

// entry is a file or a folder in the image; a folder has no content.
type entry struct {
	mode    fs.FileMode
	content []byte
	owner   int // of its group as well
}

// tree has the image's files by path, as in "etc/passwd".
type tree map[string]entry

// base is what programs expect beside them.
func base() tree {
	return tree{
		"etc/passwd":                        {mode: 0o644, content: []byte(passwd)},
		"etc/group":                         {mode: 0o644, content: []byte(group)},
		"etc/nsswitch.conf":                 {mode: 0o644, content: []byte(nsswitch)},
		"etc/ssl/certs/ca-certificates.crt": {mode: 0o644, content: roots()},
		"tmp":                               {mode: fs.ModeDir | fs.ModeSticky | 0o777},
		"home/nonroot":                      {mode: fs.ModeDir | 0o700, owner: 65532},
	}
}

// roots are Mozilla's root certificates as go.sum pins them, and not those of
// the machine, which would be others on the next. A root that is trusted only
// for certificates of before some day is left out: a file cannot say so.
func roots() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return all.Bytes()
}

// addition is a file or folder of this machine, and where the image has it.
type addition struct{ source, target string }

func parseAddition(s string) (addition, error) {
	source, target, _ := strings.Cut(s, ":")
	if source == "" || !path.IsAbs(target) || path.Clean(target) == "/" {
		return addition{}, errors.New("write SOURCE:/PATH, such as redis.conf:/etc/redis.conf")
	}
	if _, err := os.Stat(source); err != nil {
		absolute, _ := filepath.Abs(source)
		return addition{}, fmt.Errorf("%s cannot be read: %w", absolute, err)
	}
	return addition{source, path.Clean(target)}, nil
}

// add reads a file, or a folder with all that is in it.
func (t tree) add(a addition) error {
	return filepath.WalkDir(a.source, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(p) // what a link leads to
		if err != nil {
			return err
		}
		below, err := filepath.Rel(a.source, p)
		if err != nil {
			return err
		}
		target := strings.TrimPrefix(path.Join(a.target, filepath.ToSlash(below)), "/")
		switch {
		case info.IsDir():
			t[target] = entry{mode: fs.ModeDir | 0o755}
			return nil
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is neither a file nor a folder", p)
		}
		content, err := os.ReadFile(p)
		mode := fs.FileMode(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		t[target] = entry{mode: mode, content: content}
		return err
	})
}

// layer packs the files, whose order, owners and times depend on nothing else.
func (t tree) layer(modified time.Time) (v1.Layer, error) {
	withParents := maps.Clone(t)
	for name := range t {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, there := withParents[dir]; !there {
				withParents[dir] = entry{mode: fs.ModeDir | 0o755}
			}
		}
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, name := range slices.Sorted(maps.Keys(withParents)) {
		e := withParents[name]
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: name, Size: int64(len(e.content)), Mode: int64(e.mode.Perm()),
			Uid: e.owner, Gid: e.owner, ModTime: modified, Format: tar.FormatPAX,
		}
		if e.mode.IsDir() {
			header.Typeflag, header.Name = tar.TypeDir, name+"/"
		}
		if e.mode&fs.ModeSticky != 0 {
			header.Mode |= 0o1000
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
