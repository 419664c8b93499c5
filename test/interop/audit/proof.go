package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// verifyProof verifies one entry by its proof (tlog-proof), which has the entry with it as extra data.
func verifyProof(file, key string) (index int64, entry []byte, err error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return 0, nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, nil, err
	}
	front, checkpoint, found := bytes.Cut(data, []byte("\n\n"))
	lines := strings.Split(string(front), "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, nil, errors.New("not a proof")
	}
	extra, isExtra := strings.CutPrefix(lines[1], "extra ")
	number, isIndex := strings.CutPrefix(lines[2], "index ")
	if !isExtra || !isIndex {
		return 0, nil, errors.New("no entry, or no index")
	}
	entry, err = base64.StdEncoding.Strict().DecodeString(extra)
	if err != nil {
		return 0, nil, err
	}
	index, err = strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, nil, err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return 0, nil, err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint(checkpoint, verifier)
	if err != nil {
		return 0, nil, err
	}
	return index, entry, tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}
