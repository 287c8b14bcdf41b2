// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"strings"
	"sync"
)

// Prefix begins the name of every guard.
const Prefix = "keepfresh:guard:"

const slots = 16384

// Name returns the name of a key's guard. It lies in the same Redis Cluster
// slot as the key, so that one script can touch both:
//
//	user:{42}:p   keepfresh:guard:user:{42}:p      the key's own hash tag serves
//	product:42    keepfresh:guard:{product:42}     the whole key is the hash tag
//	a}b           keepfresh:guard:{1f2}:a}b        a tag found for the key's slot
//
// An application in any language that wants to take part in a rebuild computes
// the same name and sets it with SET NX PX.
func Name(key string) string {
	switch {
	case hashTag(key) != key:
		return Prefix + key
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
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// tagOf returns a tag of at most four characters that lies in the slot.
func tagOf(slot int) string { return tags()[slot] }

var tags = sync.OnceValue(func() *[slots]string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	var table [slots]string
	missing := slots
	queue := []string{""}
	for missing > 0 {
		tag := queue[0]
		queue = queue[1:]
		if s := int(crc16(tag)) % slots; tag != "" && table[s] == "" {
			table[s] = tag
			missing--
		}
		for i := range len(digits) {
			queue = append(queue, tag+digits[i:i+1])
		}
	}
	return &table
})
