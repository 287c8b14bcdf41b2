// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Command image packs programs into a container image without a container
// engine, and without a base image to get: what programs expect beside them
// (root certificates, a user, /tmp) comes from here. The same files always give
// the same digest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/distribution/reference"
)

const usage = `Packs programs into a container image, without a container engine.

  image --name REF --binary PATH[:ARCH]... [--output OUT.tar] [--push] [flags]

  image --name ghcr.io/keepfresh/keepfresh:dev --output keepfresh.tar \
    --binary bin/amd64/keepfresh --binary bin/arm64/keepfresh
  image --name redis:test --output redis.tar --libraries \
    --binary /usr/bin/redis-server --file /usr/bin/redis-cli:/usr/bin/redis-cli \
    --cmd --save --cmd ""

OUT.tar is an OCI layout, for ctr image import, kind load image-archive and skopeo
copy oci-archive:, and a docker archive of the first --binary, for docker load
where Docker does not read layouts. The image's digest is printed on the last line
of the output, as REF@sha256:...

SOURCE_DATE_EPOCH, in the environment, is the time that the image and all of its
files bear, in seconds since 1970 (0 if it is not set).

Flags:
`

// options is what the image is made of, and where it goes.
type options struct {
	name       reference.NamedTagged
	binaries   []binary
	further    []addition
	libraries  bool
	entrypoint []string
	cmd        []string
	env        []string
	user       string
	labels     map[string]string
	created    time.Time
	output     string
	push       bool
	insecure   bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	image, err := assemble(o)
	if err != nil {
		return err
	}
	if o.output != "" {
		if err := writeArchive(o.output, o.name, image); err != nil {
			return fmt.Errorf("write %s: %w", o.output, err)
		}
		_, _ = fmt.Fprintf(stderr, "image: wrote %s (%s)\n", o.output, strings.Join(image.platforms(), ", "))
	}
	if o.push {
		if err := image.push(ctx, o.name, o.insecure); err != nil {
			return fmt.Errorf("push %s (docker login tells the credentials): %w", o.name, err)
		}
		_, _ = fmt.Fprintf(stderr, "image: pushed %s\n", o.name)
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s@%s\n", o.name, digest)
	return err
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{labels: map[string]string{}}
	var name string
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints the error, and not the whole help with it
	flags.StringVar(&name, "name", "", "the image's `reference`, with a tag (required)")
	flags.Func("binary", "a `program` to start, and its architecture if that is to be checked (required; once for each architecture)", func(s string) error {
		b, err := parseBinary(s)
		o.binaries = append(o.binaries, b)
		return err
	})
	flags.Func("file", "a further file or folder, and where the image has it: `SOURCE:/PATH` (repeatable)", func(s string) error {
		a, err := parseAddition(s)
		o.further = append(o.further, a)
		return err
	})
	flags.BoolVar(&o.libraries, "libraries", false, "add the shared libraries that the programs need, as ldd finds them here")
	flags.Func("entrypoint", "a word of what is started instead of the binary (repeatable)", appendTo(&o.entrypoint))
	flags.Func("cmd", "an `argument` that is passed unless the container has its own (repeatable)", appendTo(&o.cmd))
	flags.Func("env", "an environment variable: `NAME=VALUE` (repeatable)", func(s string) error {
		if key, _, ok := strings.Cut(s, "="); !ok || key == "" {
			return errors.New("write NAME=VALUE")
		}
		o.env = append(o.env, s)
		return nil
	})
	flags.StringVar(&o.user, "user", nonroot, "the `UID:GID` that runs the program")
	flags.Func("label", "a label, and annotation: `KEY=VALUE` (repeatable)", func(s string) error {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return errors.New("write KEY=VALUE")
		}
		o.labels[key] = value
		return nil
	})
	flags.StringVar(&o.output, "output", "", "the `archive` to write")
	flags.BoolVar(&o.push, "push", false, "push to the registry that the name says, as docker login has it")
	flags.BoolVar(&o.insecure, "insecure", false, "push by plain HTTP")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprint(stderr, usage)
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w (--help lists the flags)", err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("do not know what to do with %q: each argument of the image's program needs a --cmd before it (--help)", flags.Args())
	}
	var err error
	if o.name, err = parseName(name); err != nil {
		return nil, err
	}
	if len(o.binaries) == 0 {
		return nil, errors.New("--binary is missing: name the program that the image is for")
	}
	if o.output == "" && !o.push {
		return nil, errors.New("nowhere to put the image: set --output OUT.tar, --push or both")
	}
	o.created, err = sourceDate()
	return o, err
}

func appendTo(list *[]string) func(string) error {
	return func(s string) error {
		*list = append(*list, s)
		return nil
	}
}

// parseName reads a name as Docker does: redis:7 is docker.io/library/redis:7.
func parseName(name string) (reference.NamedTagged, error) {
	if name == "" {
		return nil, errors.New("--name is missing: name the image, such as ghcr.io/keepfresh/keepfresh:dev")
	}
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return nil, fmt.Errorf("--name %q is no image's reference: %w", name, err)
	}
	tagged, ok := named.(reference.NamedTagged)
	if _, digested := named.(reference.Digested); !ok || digested {
		return nil, fmt.Errorf("--name %q has to end in a tag, not in a digest: that follows from what is packed", name)
	}
	return tagged, nil
}

func sourceDate() (time.Time, error) {
	value := os.Getenv("SOURCE_DATE_EPOCH")
	if value == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: set it to seconds since 1970, such as git log -1 --format=%%ct prints, or not at all", value)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
