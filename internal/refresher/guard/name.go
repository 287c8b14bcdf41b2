// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"strings"
	"sync"
)

// Prefix begins the name of every guard. It is said here once more than in
// keyspace.Reserved, since this package stands on its own.
const Prefix = "keepfresh:guard:"

const slots = 16384

// Name returns the name of a key's guard. It lies in the same Redis Cluster
// slot as the key, so that one script can touch both, and belongs to that key
// alone:
//
//	product:42    keepfresh:guard:{product:42}     the whole key is the hash tag
//	user:{42}:p   keepfresh:guard:user:{42}:p      the key's own hash tag serves
//	{42}:p        keepfresh:guard:{42}:{42}:p      and stands before a key that begins with it
//	a}b           keepfresh:guard:{4w2}:a}b        a tag found for the key's slot
//
// Without the third rule {42} and 42 would share a guard.
//
// An application in any language that wants to take part in a rebuild computes
// the same name and sets it with SET NX PX.
func Name(key string) string {
	switch tag := hashTag(key); {
	case tag != key && key[0] != '{':
		return Prefix + key
	case tag != key:
		return Prefix + "{" + tag + "}:" + key
	case key != "" && !strings.Contains(key, "}"):
		return Prefix + "{" + key + "}"
	default:
		return Prefix + "{" + tagOf(slot(key)) + "}:" + key
	}
}

// hashTag is the part of a key that decides its slot: what stands between the
// first brace and the first closing one after it, or else the whole key.
// Source: Redis Cluster specification, "Hash tags".
func hashTag(key string) string {
	_, rest, found := strings.Cut(key, "{")
	if !found {
		return key
	}
	tag, _, found := strings.Cut(rest, "}")
	if !found || tag == "" {
		return key
	}
	return tag
}

func slot(key string) int { return int(crc16(hashTag(key))) % slots }

// crc16 is CRC-16/XMODEM (polynomial 0x1021, initial value 0), as the Redis
// Cluster specification has it in its appendix A.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc = crc16Next(crc, s[i])
	}
	return crc
}

func crc16Next(crc uint16, b byte) uint16 {
	crc ^= uint16(b) << 8
	for range 8 {
		if crc&0x8000 != 0 {
			crc = crc<<1 ^ 0x1021
		} else {
			crc <<= 1
		}
	}
	return crc
}

// tagOf returns the first of the tags that lie in the slot: the shortest, and
// among those the least. It has at most four characters.
func tagOf(slot int) string { return tags()[slot] }

var tags = sync.OnceValue(findTags)

func findTags() *[slots]string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	var (
		table   [slots]string
		missing = slots
		tag     = make([]byte, 0, 4)
		extend  func(crc uint16, length int)
	)
	extend = func(crc uint16, length int) {
		if length == 0 {
			if s := crc % slots; table[s] == "" {
				table[s] = string(tag)
				missing--
			}
			return
		}
		for i := 0; i < len(digits) && missing > 0; i++ {
			tag = append(tag, digits[i])
			extend(crc16Next(crc, digits[i]), length-1)
			tag = tag[:len(tag)-1]
		}
	}
	for length := 1; missing > 0; length++ {
		extend(0, length)
	}
	return &table
}
