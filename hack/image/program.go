// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// binary is a program to start.
type binary struct {
	path string // absolute
	arch string // as Go calls it
}

// parseBinary reads PATH[:ARCH]. What a program was built for is in its header:
// ARCH only makes sure.
func parseBinary(s string) (binary, error) {
	path, want := s, ""
	if i := strings.LastIndex(s, ":"); i >= 0 {
		path, want = s[:i], strings.TrimPrefix(s[i+1:], "linux/")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return binary{}, err
	}
	file, err := elf.Open(path)
	if malformed := (*elf.FormatError)(nil); errors.As(err, &malformed) || errors.Is(err, io.EOF) {
		return binary{}, fmt.Errorf("%s is no Linux program: build it with GOOS=linux", path)
	} else if err != nil {
		return binary{}, err
	}
	defer func() { _ = file.Close() }()
	arch, err := architecture(&file.FileHeader)
	if err != nil {
		return binary{}, fmt.Errorf("%s: %w", path, err)
	}
	if want != "" && want != arch {
		return binary{}, fmt.Errorf("%s is built for %s, not for %s", path, arch, want)
	}
	return binary{path, arch}, nil
}

func architecture(h *elf.FileHeader) (string, error) {
	little := h.Data == elf.ELFDATA2LSB
	switch {
	case h.Machine == elf.EM_X86_64:
		return "amd64", nil
	case h.Machine == elf.EM_AARCH64 && little:
		return "arm64", nil
	case h.Machine == elf.EM_PPC64 && little:
		return "ppc64le", nil
	case h.Machine == elf.EM_RISCV && little:
		return "riscv64", nil
	case h.Machine == elf.EM_S390:
		return "s390x", nil
	}
	return "", fmt.Errorf("%s is not one of amd64, arm64, ppc64le, riscv64 and s390x", h.Machine)
}

// found matches a library in what ldd prints, and the loader itself:
//
//	libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f...)
//	/lib64/ld-linux-x86-64.so.2 (0x00007f...)
var found = regexp.MustCompile(`^\s*(?:\S+ => )?(/\S+) \(0x`)

// libraries returns the shared libraries that a program needs, and their
// loader: none for a static program, or for what is no program.
func libraries(path string) ([]string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, nil //nolint:nilerr // a file of data
	}
	defer func() { _ = file.Close() }()
	if needed, err := file.ImportedLibraries(); err != nil || len(needed) == 0 {
		return nil, err
	}
	if arch, err := architecture(&file.FileHeader); err != nil || arch != runtime.GOARCH {
		return nil, fmt.Errorf("%s is built for %s, and this machine (%s) lacks its libraries: build it static", path, arch, runtime.GOARCH)
	}
	out, err := exec.Command("ldd", path).Output() //nolint:noctx // instant
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", path, err)
	}
	var paths []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "not found") {
			return nil, fmt.Errorf("%s needs a library that is not installed here: %s", path, strings.TrimSpace(line))
		}
		if m := found.FindStringSubmatch(line); m != nil {
			paths = append(paths, m[1])
		}
	}
	return paths, nil
}
