package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"posefuse/configs"
	"posefuse/pipeline"
	"posefuse/setting"
)

type configCmd struct {
	Print   configPrintCmd   `cmd:"" default:"1" help:"Print the documented default configuration."`
	Migrate configMigrateCmd `cmd:"" help:"Print a configuration of an older release as this one documents it."`
}

// Help shows the commands' examples.
func (configCmd) Help() string {
	return "Every key with its default and what it means. Keep what you change.\n\nExamples:\n\n  posefuse config > posefuse.yaml\n  posefuse config migrate /etc/posefuse/posefuse.yaml > new.yaml"
}

type configPrintCmd struct{}

// Help shows the command's example.
func (configPrintCmd) Help() string { return "Example:\n\n  posefuse config > posefuse.yaml" }

// Run prints the file.
func (configPrintCmd) Run(out io.Writer) error {
	_, err := out.Write(configs.Default)
	return err
}

type configMigrateCmd struct {
	File string `arg:"" placeholder:"FILE" help:"Configuration to start from; it stays as it is."`
}

// Help shows the command's example.
func (configMigrateCmd) Help() string {
	return "Your values in the documented file of this release, with every key that is new and what it means.\n" +
		"Your own comments are not taken over. A key that this release does not know is an error that\n" +
		"names it. The environment is not read.\n\nExample:\n\n  posefuse config migrate /etc/posefuse/posefuse.yaml > new.yaml && diff /etc/posefuse/posefuse.yaml new.yaml"
}

// maxMigrated bounds a configuration, bytes.
const maxMigrated = 4 << 20

// Run prints the new file, once it is sure that it means what the old one does.
func (c configMigrateCmd) Run(out io.Writer) error {
	old, err := setting.ReadFile(c.File, maxMigrated)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	before, err := pipeline.ParseConfig(old, nil)
	if err != nil {
		return fmt.Errorf("configuration %s: %w; correct it first", c.File, err)
	}
	text, err := migrated(old)
	if err != nil {
		return fmt.Errorf("configuration %s: %w", c.File, err)
	}
	after, err := pipeline.ParseConfig(text, nil)
	if err == nil && !sameMeaning(&before, &after) {
		err = errors.New("the new file would not mean the same: write it by hand, from posefuse config")
	}
	if err != nil {
		return fmt.Errorf("configuration %s: %w", c.File, err)
	}
	_, err = out.Write(text)
	return err
}

// sameMeaning reports whether two configurations have the same values.
func sameMeaning(a, b *pipeline.Config) bool {
	x, errX := yaml.Marshal(a)
	y, errY := yaml.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// migrated returns the documented file with the values of a document.
func migrated(old []byte) ([]byte, error) {
	var from, to yaml.Node
	if err := errors.Join(yaml.Unmarshal(old, &from), yaml.Unmarshal(configs.Default, &to)); err != nil {
		return nil, err
	}
	if len(from.Content) > 0 {
		overlay(to.Content[0], from.Content[0])
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := errors.Join(enc.Encode(&to), enc.Close())
	return b.Bytes(), err
}

// overlay puts the values of a mapping into another, whose comments stay.
func overlay(to, from *yaml.Node) {
	for i := 0; i+1 < len(from.Content); i += 2 {
		key, value := from.Content[i], from.Content[i+1]
		at := -1
		for j := 0; j+1 < len(to.Content); j += 2 {
			if to.Content[j].Value == key.Value {
				at = j + 1
			}
		}
		if at < 0 {
			to.Content = append(to.Content, plain(key), plain(value))
			continue
		}
		there := to.Content[at]
		if there.Kind == yaml.MappingNode && len(there.Content) > 0 && value.Kind == yaml.MappingNode {
			overlay(there, value)
			continue
		}
		next := plain(value)
		next.HeadComment, next.LineComment, next.FootComment = there.HeadComment, there.LineComment, there.FootComment
		to.Content[at] = next
	}
}

// plain copies a value without its comments, which the new file has itself.
func plain(n *yaml.Node) *yaml.Node {
	c := *n
	c.HeadComment, c.LineComment, c.FootComment = "", "", ""
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = plain(child)
	}
	return &c
}
