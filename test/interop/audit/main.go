// Verifies a transparency log, written from the C2SP documents (tlog-tiles, tlog-checkpoint, signed-note) alone and on
// golang.org/x/mod/sumdb, so that nothing of the project's own code takes part.
//
//	audit FOLDER KEY            verifies the log in the folder
//	audit FOLDER KEY EARLIER    … and that it continues the checkpoint in the file EARLIER
//	audit proof FILE KEY        verifies the proof of one entry (tlog-proof)
//
// Prints "ok SIZE ROOT", or "ok INDEX ENTRY", and ends with 0, or says what is wrong and ends with 1.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileWidth = 256

func main() {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fmt.Println("usage: audit FOLDER KEY [EARLIER], or audit proof FILE KEY")
		os.Exit(2)
	}
	if os.Args[1] == "proof" && len(os.Args) == 4 {
		index, entry, err := verifyProof(os.Args[2], os.Args[3])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ok", index, string(entry))
		return
	}
	earlier := ""
	if len(os.Args) == 4 {
		earlier = os.Args[3]
	}
	tree, err := verify(os.Args[1], os.Args[2], earlier)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok", tree.N, tree.Hash)
}

func verify(folder, key, earlier string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("key: %w", err)
	}
	signed, err := readCheckpoint(filepath.Join(folder, "checkpoint"), verifier)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	hashes, err := recompute(folder, signed.N)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.TreeHash(signed.N, hashes)
	if err != nil {
		return tlog.Tree{}, err
	}
	if root != signed.Hash {
		return tlog.Tree{}, fmt.Errorf("the entries give the root %v, the checkpoint says %v", root, signed.Hash)
	}
	if err := compareTiles(folder, signed.N, hashes); err != nil {
		return tlog.Tree{}, err
	}
	if earlier == "" {
		return signed, nil
	}
	old, err := readCheckpoint(earlier, verifier)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("earlier checkpoint: %w", err)
	}
	return signed, checkConsistency(old, signed, hashes)
}

// readCheckpoint opens a signed note of three lines and more: origin, size, root, extensions (tlog-checkpoint).
func readCheckpoint(file string, verifier note.Verifier) (tlog.Tree, error) {
	bytes, err := os.ReadFile(file)
	if err != nil {
		return tlog.Tree{}, err
	}
	return openCheckpoint(bytes, verifier)
}

func openCheckpoint(bytes []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(bytes, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, errors.New("no size")
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, errors.New("no root")
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// stored holds the hashes of a tree in the order of tlog.StoredHashes.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = s[index]
	}
	return found, nil
}

// recompute hashes every entry of the log, and believes no tile.
func recompute(folder string, size int64) (stored, error) {
	var hashes stored
	for bundle := int64(0); bundle*tileWidth < size; bundle++ {
		width := min(size-bundle*tileWidth, tileWidth)
		data, whole, err := readTile(folder, "entries", bundle, width)
		if err != nil {
			return nil, err
		}
		for i := int64(0); i < width; i++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("bundle %d ends too early", bundle)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			more, err := tlog.StoredHashes(bundle*tileWidth+i, data[2:end], hashes)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, more...)
			data = data[end:]
		}
		// A full bundle in the place of a partial one goes on.
		if len(data) != 0 && (width == tileWidth || !whole) {
			return nil, fmt.Errorf("bundle %d is too long", bundle)
		}
	}
	return hashes, nil
}

// compareTiles compares every tile of hashes with what follows from the entries.
func compareTiles(folder string, size int64, hashes stored) error {
	for level, count := 0, size; count > 0; level, count = level+1, count/tileWidth {
		for index := int64(0); index*tileWidth < count; index++ {
			width := min(count-index*tileWidth, tileWidth)
			expected, err := tlog.ReadTileData(tlog.Tile{H: 8, L: level, N: index, W: int(width)}, hashes)
			if err != nil {
				return err
			}
			data, _, err := readTile(folder, strconv.Itoa(level), index, width)
			if err != nil {
				return err
			}
			if len(data) < len(expected) || string(data[:len(expected)]) != string(expected) {
				return fmt.Errorf("tile %d/%d does not follow from the entries", level, index)
			}
		}
	}
	return nil
}

// readTile reads a tile, or the full one that has taken a partial one's place (tlog-tiles, partial tiles); whole says
// which it was.
func readTile(folder, level string, index, width int64) (data []byte, whole bool, err error) {
	path := filepath.Join(folder, "tile", level, filepath.FromSlash(indexPath(index)))
	whole = width == tileWidth
	if !whole {
		data, err = os.ReadFile(fmt.Sprintf("%s.p/%d", path, width))
		whole = errors.Is(err, fs.ErrNotExist)
	}
	if whole {
		width = tileWidth
		data, err = os.ReadFile(path)
	}
	if err == nil && level != "entries" && int64(len(data)) != width*tlog.HashSize {
		err = fmt.Errorf("tile %s/%d has another length", level, index)
	}
	return data, whole, err
}

// indexPath writes an index in groups of three digits, all but the last with an x (tlog-tiles).
func indexPath(index int64) string {
	path := fmt.Sprintf("%03d", index%1000)
	for index >= 1000 {
		index /= 1000
		path = fmt.Sprintf("x%03d/%s", index%1000, path)
	}
	return path
}

func checkConsistency(old, now tlog.Tree, hashes stored) error {
	if old.N > now.N {
		return errors.New("the log has become shorter")
	}
	if old.N == 0 {
		return nil
	}
	proof, err := tlog.ProveTree(now.N, old.N, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, now.N, now.Hash, old.N, old.Hash)
}
