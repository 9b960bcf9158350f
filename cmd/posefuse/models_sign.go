package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"

	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/pipeline"
)

type modelsSignCmd struct {
	Dir string `arg:"" placeholder:"DIR" help:"Folder with card.json and its weights."`
	Key string `required:"" placeholder:"FILE" help:"Private ed25519 key, PKCS#8 in PEM form as openssl genpkey writes it."`
	New bool   `help:"Make the key first; the file must not be there."`
}

// Help shows the command's example.
func (modelsSignCmd) Help() string {
	return "Signs card.json, which names the hash of the weights and so stands for both, and prints the line for\n" +
		"model.trusted_keys. Keep the private key off the daemon's machine.\n\n" +
		"Examples:\n\n  posefuse models sign models/sim --key signer.pem --new\n  posefuse models sign models/sim --key signer.pem"
}

// Run signs the checkpoint.
func (c modelsSignCmd) Run(out io.Writer) error {
	var key ed25519.PrivateKey
	var err error
	if c.New {
		key, err = registry.NewSigner(c.Key)
	} else {
		key, err = registry.ReadSigner(c.Key)
	}
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	if err = registry.Sign(c.Dir, key); err != nil {
		return err
	}
	line, err := registry.PublicLine(key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is signed; it runs where the configuration has\n\nmodel:\n  trusted_keys: [%q]\n", c.Dir, line)
	return err
}

type modelsVerifyCmd struct {
	Dir    string   `arg:"" placeholder:"DIR" help:"Folder with card.json and its weights."`
	Trust  []string `placeholder:"KEY" help:"Public key to believe, as models sign prints it; may be repeated."`
	Config string   `short:"c" placeholder:"FILE" help:"Believe the keys of this configuration's model.trusted_keys."`
}

// Help shows the command's example.
func (modelsVerifyCmd) Help() string {
	return "Checks that the weights are those of the card, and the signature against the keys.\n\n" +
		"Example:\n\n  posefuse models verify models/sim --config /etc/posefuse/posefuse.yaml"
}

// Run checks the checkpoint.
func (c modelsVerifyCmd) Run(out io.Writer) error {
	keys, err := registry.ParseKeys(c.Trust)
	if err != nil {
		return fmt.Errorf("--trust: %w", err)
	}
	if c.Config != "" {
		cfg, loadErr := pipeline.LoadConfig(c.Config, os.Environ())
		if loadErr != nil {
			return loadErr
		}
		more, keysErr := cfg.Model.Keys()
		if keysErr != nil {
			return fmt.Errorf("model.trusted_keys: %w", keysErr)
		}
		keys = append(keys, more...)
	}
	if len(keys) == 0 {
		return errors.New("no key to believe: give --trust KEY, or --config with model.trusted_keys")
	}
	if err = keys.Verify(c.Dir); err != nil {
		return err
	}
	net, card, err := model.LoadCheckpoint(c.Dir)
	if err != nil {
		return err
	}
	if err = net.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is %s %s, weights %s, signed by a key that is trusted\n", c.Dir, card.Name, card.Version, card.SHA256[:12])
	return err
}
