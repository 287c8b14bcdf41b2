// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// writeArchive writes an OCI layout, as containerd, skopeo and new Dockers read
// it, that is a docker archive too: kind asks manifest.json for the image's
// name, and Docker's own store and crane know nothing else. That one tells of
// one platform only, the first.
func writeArchive(output string, as reference.NamedTagged, p *packed) error {
	dir, err := os.MkdirTemp("", "keepfresh-image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	folder, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	named := layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          as.String(),
		"org.opencontainers.image.ref.name": as.Tag(),
	})
	if p.index != nil {
		err = folder.AppendIndex(p.index, named)
	} else {
		err = folder.AppendImage(p.images[0], named)
	}
	if err != nil {
		return err
	}
	manifest, err := dockerManifest(as, p.images[0])
	if err != nil {
		return err
	}
	if err := folder.WriteFile("manifest.json", manifest, 0o600); err != nil {
		return err
	}
	return pack(dir, output)
}

func dockerManifest(as reference.NamedTagged, image v1.Image) ([]byte, error) {
	at := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	config, err := image.ConfigName()
	if err != nil {
		return nil, err
	}
	e := entry{Config: at(config), RepoTags: []string{reference.FamiliarString(as)}}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return nil, err
		}
		e.Layers = append(e.Layers, at(digest))
	}
	return json.Marshal([]entry{e})
}

// pack writes a folder's files into an archive, which is there when it is whole.
func pack(dir, output string) error {
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(output), "."+filepath.Base(output)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer func() { _ = file.Close() }()
	w := tar.NewWriter(file)
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Size: info.Size(), Mode: 0o644}); err != nil {
			return err
		}
		from, err := root.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = from.Close() }()
		_, err = io.Copy(w, from)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), output)
}
