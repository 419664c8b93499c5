// Command witness cosigns the checkpoints of one log, written from the C2SP documents tlog-witness and tlog-cosignature
// on golang.org/x/mod alone. It keeps what it has cosigned in memory.
//
//	witness NAME SEED LOGKEY    (SEED: 32 bytes in hexadecimal)
//
// prints its key and its URL, and ends with its standard input.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const cosignatureV1 = 0x04

func main() {
	seed, err := hex.DecodeString(os.Args[2])
	must(err)
	log, err := note.NewVerifier(strings.TrimSpace(os.Args[3]))
	must(err)
	w := &witness{name: os.Args[1], key: ed25519.NewKeyFromSeed(seed), log: log}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	public := append([]byte{cosignatureV1}, w.key.Public().(ed25519.PublicKey)...)
	fmt.Printf("%s+%08x+%s\nhttp://%s/\n", w.name, w.keyID(), base64.StdEncoding.EncodeToString(public), listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	http.HandleFunc("POST /add-checkpoint", w.addCheckpoint)
	must(http.Serve(listener, nil))
}

type witness struct {
	name string
	key  ed25519.PrivateKey
	log  note.Verifier

	mu   sync.Mutex
	size int64
	root tlog.Hash
}

// keyID is the first four bytes of SHA-256(name, newline, type, key).
func (w *witness) keyID() uint32 {
	sum := sha256.Sum256(append([]byte(w.name+"\n"), append([]byte{cosignatureV1}, w.key.Public().(ed25519.PublicKey)...)...))
	return binary.BigEndian.Uint32(sum[:4])
}

func (w *witness) addCheckpoint(out http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(io.LimitReader(request.Body, 1<<20))
	if err != nil {
		out.WriteHeader(http.StatusBadRequest)
		return
	}
	header, checkpoint, found := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(header), "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if !found || err != nil || !strings.HasPrefix(lines[0], "old ") {
		out.WriteHeader(http.StatusBadRequest)
		return
	}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			out.WriteHeader(http.StatusBadRequest)
			return
		}
		proof = append(proof, hash)
	}
	opened, err := note.Open(checkpoint, note.VerifierList(w.log))
	if err != nil {
		out.WriteHeader(http.StatusForbidden)
		return
	}
	text := strings.Split(opened.Text, "\n")
	if len(text) < 4 || text[0] != w.log.Name() {
		out.WriteHeader(http.StatusNotFound)
		return
	}
	size, err := strconv.ParseInt(text[1], 10, 64)
	root, err2 := tlog.ParseHash(text[2])
	if err != nil || err2 != nil || old > size {
		out.WriteHeader(http.StatusBadRequest)
		return
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if old != w.size {
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(http.StatusConflict)
		fmt.Fprintf(out, "%d\n", w.size)
		return
	}
	if !w.continues(proof, size, root) {
		out.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	w.size, w.root = size, root
	now := uint64(time.Now().Unix())
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", now, opened.Text)
	signature := binary.BigEndian.AppendUint32(nil, w.keyID())
	signature = binary.BigEndian.AppendUint64(signature, now)
	signature = append(signature, ed25519.Sign(w.key, []byte(message))...)
	fmt.Fprintf(out, "— %s %s\n", w.name, base64.StdEncoding.EncodeToString(signature))
}

func (w *witness) continues(proof tlog.TreeProof, size int64, root tlog.Hash) bool {
	switch {
	case w.size == 0:
		return len(proof) == 0 && (size > 0 || root == tlog.Hash(sha256.Sum256(nil)))
	case w.size == size:
		return len(proof) == 0 && root == w.root
	default:
		return tlog.CheckTree(proof, size, root, w.size, w.root) == nil
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
