// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/x509"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// hello is a program that needs what the image has to offer.
const hello = `package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"os/user"
)

func main() {
	me, err := user.Current()
	if err != nil {
		panic(err)
	}
	if _, err := x509.SystemCertPool(); err != nil {
		panic(err)
	}
	if err := os.WriteFile("/tmp/written", nil, 0o600); err != nil {
		panic(err)
	}
	fmt.Println("hello", os.Args[1], "from", me.Username, "at", me.HomeDir)
}
`

// program builds hello for each architecture, and returns the --binary flags.
func program(t *testing.T, arches ...string) []string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "hello.go")
	write(t, source, hello)
	var flags []string
	for _, arch := range arches {
		output := filepath.Join(dir, arch, "hello")
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", output, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		flags = append(flags, "--binary", output+":"+arch)
	}
	return flags
}

// image runs the command, and returns what it printed: NAME@DIGEST.
func image(t *testing.T, args ...string) string {
	t.Helper()
	var out, said bytes.Buffer
	if err := run(t.Context(), args, &out, &said); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	return strings.TrimSpace(out.String())
}

func TestTheSameFilesGiveTheSameArchive(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1795373841")
	flags := program(t, "amd64", "arm64")
	dir := t.TempDir()
	pack := func(output string) (digest string, content []byte) {
		output = filepath.Join(dir, output)
		digest = image(t, append(flags, "--name", "example.com/hello:v1", "--label", "a=b", "--label", "c=d", "--output", output)...)
		content, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		return digest, content
	}
	digest, content := pack("one.tar")
	again, sameContent := pack("two.tar")
	if digest != again || !bytes.Equal(content, sameContent) {
		t.Errorf("%s, and then %s", digest, again)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1795373842")
	if other, _ := pack("three.tar"); other == digest {
		t.Error("another SOURCE_DATE_EPOCH makes no difference")
	}
}

// TestTheArchive reads it as an OCI layout and as a docker archive.
func TestTheArchive(t *testing.T) {
	output := filepath.Join(t.TempDir(), "new", "hello.tar")
	printed := image(t, append(program(t, "amd64", "arm64"), "--name", "hello:v1", "--cmd", "world", "--label", "k=v", "--output", output)...)
	dir := t.TempDir()
	unpack(t, dir, output)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	top, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	named := top.Manifests[0]
	if got := named.Annotations["io.containerd.image.name"]; got != "docker.io/library/hello:v1" || printed != got+"@"+named.Digest.String() {
		t.Errorf("printed %s; containerd would call it %s@%s", printed, got, named.Digest)
	}
	inner, err := index.ImageIndex(named.Digest)
	if err != nil {
		t.Fatal(err)
	}
	platforms, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(platforms.Manifests) != 2 || platforms.Annotations["k"] != "v" {
		t.Errorf("%+v", platforms)
	}
	for i, arch := range []string{"amd64", "arm64"} {
		one, err := inner.Image(platforms.Manifests[i].Digest)
		if err != nil {
			t.Fatal(err)
		}
		if platform := platforms.Manifests[i].Platform; platform.OS != "linux" || platform.Architecture != arch {
			t.Errorf("%+v", platform)
		}
		checkConfig(t, one, arch)
	}
	tag, err := name.NewTag("hello:v1")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := tarball.ImageFromPath(output, &tag)
	if err != nil {
		t.Fatal(err)
	}
	checkConfig(t, loaded, "amd64")
}

func checkConfig(t *testing.T, image v1.Image, arch string) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if config.Architecture != arch || c.User != nonroot || !slices.Equal(c.Entrypoint, []string{"/hello"}) || !slices.Equal(c.Cmd, []string{"world"}) || c.Labels["k"] != "v" {
		t.Errorf("%s: %+v", config.Architecture, c)
	}
}

// TestTheProgramRunsInTheImage unpacks with tar and starts as a runtime would.
func TestTheProgramRunsInTheImage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may chroot")
	}
	dir := t.TempDir()
	output := filepath.Join(dir, "hello.tar")
	server := os.Getenv("REDIS_SERVER")
	args := append(program(t, runtime.GOARCH), "--name", "hello:v1", "--output", output)
	if server != "" {
		args = append(args, "--libraries", "--file", server+":/usr/bin/redis-server")
	}
	image(t, args...)
	root := filepath.Join(dir, "root")
	unpackLayers(t, root, output)
	if out := chroot(t, root, "/hello", "there"); out != "hello there from nonroot at /home/nonroot\n" {
		t.Errorf("it said: %s", out)
	}
	if server != "" {
		if out := chroot(t, root, "/usr/bin/redis-server", "--version"); !strings.Contains(out, "v=") {
			t.Errorf("it said: %s", out)
		}
	}
	info, err := os.Stat(filepath.Join(root, "tmp"))
	if err != nil || info.Mode()&os.ModeSticky == 0 || info.Mode().Perm() != 0o777 {
		t.Errorf("/tmp: %v %v", info.Mode(), err)
	}
	text, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if certificates := bytes.Count(text, []byte("BEGIN CERTIFICATE")); certificates < 100 || !x509.NewCertPool().AppendCertsFromPEM(text) {
		t.Errorf("%d root certificates", certificates)
	}
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	to := strings.TrimPrefix(server.URL, "http://") + "/keepfresh/hello:v1"
	printed := image(t, append(program(t, "amd64", "arm64"), "--name", to, "--push", "--insecure")...)
	ref, err := name.ParseReference(printed)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBePacked(t *testing.T) {
	good := program(t, "amd64")
	text := filepath.Join(t.TempDir(), "text")
	write(t, text, "text")
	for args, want := range map[string]string{
		"":                            "--name is missing",
		"--name x":                    "--binary is missing",
		"--nme x":                     "-nme",
		"--name X --binary GOOD":      "must be lowercase",
		"--name x --binary GOOD":      "nowhere to put the image",
		"--name x --binary GOOD word": "needs a --cmd before it",
		"--name x@sha256:0000000000000000000000000000000000000000000000000000000000000000 --binary GOOD": "not in a digest",
		"--name x --binary /nonexistent":                          "no such file",
		"--name x --binary TEXT":                                  "is no Linux program",
		"--name x --binary GOOD:arm64":                            "built for amd64, not for arm64",
		"--name x --binary GOOD --binary GOOD --output /dev/null": "both for amd64",
		"--name x --binary GOOD --file /nonexistent:/x":           "cannot be read",
		"--name x --binary GOOD --file TEXT:etc/x":                "write SOURCE:/PATH",
		"--name x --binary GOOD --file TEXT --output /dev/null":   "write SOURCE:/PATH",
		"--name x --binary GOOD --env A --output /dev/null":       "write NAME=VALUE",
		"--name x --binary GOOD --label =A --output /dev/null":    "write KEY=VALUE",
		"--name x --binary GOOD --output /nonexistent\x00/x":      "invalid argument",
		"--name 127.0.0.1:1/x --binary GOOD --push --insecure":    "push 127.0.0.1:1/x:latest",
	} {
		words := strings.Fields(strings.NewReplacer("GOOD", strings.TrimSuffix(good[1], ":amd64"), "TEXT", text).Replace(args))
		err := run(t.Context(), words, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want: %s", args, err, want)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if err := run(t.Context(), append(good, "--name", "x", "--push"), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH is") {
		t.Error(err)
	}
}

// TestADynamicProgramNeedsItsLibraries takes a program of the machine's own.
func TestADynamicProgramNeedsItsLibraries(t *testing.T) {
	path := "/bin/ls"
	if needed, err := libraries(path); err != nil || len(needed) == 0 {
		t.Skipf("%s needs no libraries here (%v)", path, err)
	}
	output := filepath.Join(t.TempDir(), "x.tar")
	err := run(t.Context(), []string{"--name", "x", "--binary", path, "--output", output}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "set --libraries") {
		t.Error(err)
	}
	if _, err := os.Stat(output); err == nil {
		t.Error("an archive was written")
	}
}

func unpackLayers(t *testing.T, root, archive string) {
	t.Helper()
	packed, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := packed.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "layer.tar")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(file, content); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		unpack(t, root, path)
	}
}

func unpack(t *testing.T, dir, archive string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-xpf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func chroot(t *testing.T, root string, command ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "chroot", append([]string{"--userspec=" + nonroot, root}, command...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
