// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// packed is an image for one platform, or for several with an index of them.
type packed struct {
	images []v1.Image // in the order of the binaries
	arches []string
	index  v1.ImageIndex // nil if there is one image only
}

func assemble(o *options) (*packed, error) {
	p := &packed{}
	if len(o.binaries) > 1 {
		p.index = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	}
	seen := map[string]string{}
	for _, b := range o.binaries {
		if other, twice := seen[b.arch]; twice {
			return nil, fmt.Errorf("%s and %s are both for %s: an image has one program for each architecture (add others with --file)", other, b.path, b.arch)
		}
		seen[b.arch] = b.path
		image, err := o.image(b)
		if err != nil {
			return nil, err
		}
		p.images, p.arches = append(p.images, image), append(p.arches, b.arch)
		if p.index != nil {
			p.index = mutate.AppendManifests(p.index, mutate.IndexAddendum{
				Add:        image,
				Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: b.arch}},
			})
		}
	}
	if p.index != nil {
		p.index = mutate.Annotations(p.index, o.labels).(v1.ImageIndex)
	}
	return p, nil
}

// files returns the program, and what it needs besides.
func (o *options) files(b binary) (program, further tree, err error) {
	program, further = tree{}, tree{}
	if err := program.add(addition{b.path, "/" + filepath.Base(b.path)}); err != nil {
		return nil, nil, err
	}
	sources := []string{b.path}
	for _, a := range o.further {
		if err := further.add(a); err != nil {
			return nil, nil, err
		}
		sources = append(sources, a.source)
	}
	for _, source := range sources {
		needed, err := libraries(source)
		if err != nil {
			return nil, nil, err
		}
		if len(needed) > 0 && !o.libraries {
			return nil, nil, fmt.Errorf("%s needs shared libraries, such as %s, that the image would lack: build it static (CGO_ENABLED=0), or set --libraries", source, needed[len(needed)-1])
		}
		for _, library := range needed {
			if err := further.add(addition{library, library}); err != nil {
				return nil, nil, err
			}
		}
	}
	return program, further, nil
}

// image makes the image for one architecture. What changes least lies lowest,
// so that nodes and registries that have it need not get it again.
func (o *options) image(b binary) (v1.Image, error) {
	program, further, err := o.files(b)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range []tree{base(), further, program} {
		if len(files) == 0 {
			continue
		}
		layer, err := files.layer(o.created)
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{
			Created: v1.Time{Time: o.created}, CreatedBy: "hack/image",
		}})
		if err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", b.arch, v1.Time{Time: o.created}
	config.Config = v1.Config{
		User: o.user, Entrypoint: o.entrypoint, Cmd: o.cmd, Env: o.env, Labels: o.labels, WorkingDir: "/",
	}
	if len(o.entrypoint) == 0 {
		config.Config.Entrypoint = []string{"/" + filepath.Base(b.path)}
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, o.labels).(v1.Image), nil
}

// main is what the reference leads to.
func (p *packed) main() mutate.Appendable {
	if p.index != nil {
		return p.index
	}
	return p.images[0]
}

// Digest is by what the image is known, wherever it is.
func (p *packed) Digest() (v1.Hash, error) { return p.main().Digest() }

func (p *packed) platforms() []string {
	var all []string
	for _, arch := range p.arches {
		all = append(all, "linux/"+arch)
	}
	return all
}

func (p *packed) push(ctx context.Context, to reference.NamedTagged, insecure bool) error {
	var options []name.Option
	if insecure {
		options = append(options, name.Insecure)
	}
	tag, err := name.NewTag(to.String(), options...)
	if err != nil {
		return err
	}
	access := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if p.index != nil {
		return remote.WriteIndex(tag, p.index, access...)
	}
	return remote.Write(tag, p.images[0], access...)
}
