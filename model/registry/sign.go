package registry

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"posefuse/model"
	"posefuse/setting"
)

// maxKey bounds a file with a private key, bytes.
const maxKey = 64 << 10

// NewSigner makes a key pair and writes the private key to a new file that only
// its owner reads, in PKCS#8 as OpenSSL does.
func NewSigner(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return key, errors.Join(err, f.Sync(), f.Close())
}

// ReadSigner reads a private key in PKCS#8. One that others may read is refused:
// they could sign, too.
func ReadSigner(path string) (ed25519.PrivateKey, error) {
	text, err := setting.ReadFile(path, maxKey)
	if err != nil {
		return nil, err
	}
	if info, statErr := os.Stat(path); statErr == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %o): chmod 600 it, or make a new key", path, info.Mode().Perm())
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in PEM form (BEGIN PRIVATE KEY)", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: make one with openssl genpkey -algorithm ed25519, or --new", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: a key of another kind (%T), want ed25519", path, parsed)
	}
	return key, nil
}

// PublicLine is the public key of a signer as model.trusted_keys wants it.
func PublicLine(key ed25519.PrivateKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return base64.StdEncoding.EncodeToString(der), err
}

// Sign checks the checkpoint in a folder, so that nobody signs weights that are
// not the card's, and writes its signature beside the card in one step.
func Sign(dir string, key ed25519.PrivateKey) error {
	net, _, err := model.LoadCheckpoint(dir)
	if err != nil {
		return err
	}
	if err = net.Close(); err != nil {
		return err
	}
	card, err := setting.ReadFile(filepath.Join(dir, model.CardFile), maxCard)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, SignatureFile+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(ed25519.Sign(key, card))
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, SignatureFile))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return err
	}
	return syncDir(dir)
}
