// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"encoding/binary"
	"slices"
	"strings"
)

// page is a run of records with the memory that their names lie in. A name is
// written once, behind the others; one that is not needed any more leaves a
// hole. When the memory is full, or more than half of it is holes, the page's
// names are rewritten, so that no work on names ever exceeds one page.
type page struct {
	records []record
	names   []byte // each after its length
	holes   int    // bytes
}

// newPage expects of its names what the last page needed, but for the first
// page: a keyspace may have ten keys.
func (s *Schedule) newPage() page {
	if len(s.pages) == 0 {
		return page{}
	}
	full := &s.pages[len(s.pages)-1]
	full.rewrite(0)
	return page{records: make([]record, 0, pageSize), names: make([]byte, 0, len(full.names))}
}

// Name is the name of a key.
func (s *Schedule) Name(id ID) string {
	var names [1]string
	return s.Names([]ID{id}, names[:0])[0]
}

// Names appends the names of keys. They share their memory: it is free when none
// of them is held any more. That takes far less time than one after the other.
func (s *Schedule) Names(ids []ID, names []string) []string {
	var read byte
	for _, id := range ids { // in a loop of its own, to have the cache misses overlap
		p := &s.pages[id>>pageBits]
		begin := p.records[id&pageMask].name
		read |= p.names[begin+uint32(p.names[begin]&0x7f)] // the end of most
	}
	s.read |= uint32(read)
	size := 0
	for _, id := range ids {
		size += len(s.prefix) + len(s.nameBytes(id))
	}
	var all strings.Builder
	all.Grow(size)
	for _, id := range ids {
		from := all.Len()
		all.WriteString(s.prefix)
		all.Write(s.nameBytes(id))
		names = append(names, all.String()[from:])
	}
	return names
}

// name is a key's name without the prefix.
func (s *Schedule) name(id ID) string { return string(s.nameBytes(id)) }

// nameBytes is a name where it lies: good until the next change.
func (s *Schedule) nameBytes(id ID) []byte {
	p := &s.pages[id>>pageBits]
	name := p.names[p.records[id&pageMask].name:]
	if length := int(name[0]); length < 0x80 {
		return name[1 : 1+length]
	}
	length, width := binary.Uvarint(name)
	return name[width : width+int(length)]
}

func (s *Schedule) setName(id ID, name string) {
	p := &s.pages[id>>pageBits]
	need := binary.MaxVarintLen32 + len(name)
	p.records[id&pageMask].name = hole
	if cap(p.names)-len(p.names) < need && p.holes > 0 {
		p.rewrite(need)
	}
	p.records[id&pageMask].name = uint32(len(p.names))
	p.names = binary.AppendUvarint(p.names, uint64(len(name)))
	p.names = append(p.names, name...)
}

// hole is where the name of a record lies that has none.
const hole = ^uint32(0)

// dropName leaves a hole in place of a key's name.
func (s *Schedule) dropName(id ID) {
	p := &s.pages[id>>pageBits]
	p.holes += size(s.nameBytes(id))
	p.records[id&pageMask].name = hole
	if p.holes > len(p.names)/2 {
		p.rewrite(0)
	}
}

// rewrite gives a page's names new memory, without holes, with so many spare bytes.
func (p *page) rewrite(spare int) {
	if p.holes == 0 && cap(p.names) == len(p.names)+spare {
		return
	}
	names := slices.Grow([]byte(nil), len(p.names)-p.holes+spare)
	for i := range p.records {
		r := &p.records[i]
		if r.name == hole {
			continue
		}
		length, width := binary.Uvarint(p.names[r.name:])
		whole := p.names[r.name : int(r.name)+width+int(length)]
		r.name = uint32(len(names))
		names = append(names, whole...)
	}
	p.names, p.holes = names, 0
}

func size(name []byte) int {
	n := 1 + len(name)
	for rest := len(name); rest >= 0x80; rest >>= 7 {
		n++
	}
	return n
}
