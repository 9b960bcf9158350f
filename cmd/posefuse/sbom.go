package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"posefuse/model"
	"posefuse/model/keypoint"
	"posefuse/model/shipped"
	"posefuse/pipeline/web"
)

type sbomCmd struct {
	Program string `arg:"" optional:"" placeholder:"FILE" help:"The posefuse program of another architecture; this program if empty."`
}

// Help shows the command's example.
func (sbomCmd) Help() string {
	return "CycloneDX 1.6 in JSON: every Go module that is linked, Go's own library, the libraries of the page\n" +
		"and the weights inside. It has no time and no serial number, so the same program gives the same bytes.\n\n" +
		"Example:\n\n  posefuse sbom > posefuse.cdx.json"
}

// bom is the part of CycloneDX that is written.
type bom struct {
	Format     string         `json:"bomFormat"`
	Spec       string         `json:"specVersion"`
	Version    int            `json:"version"`
	Metadata   bomMetadata    `json:"metadata"`
	Components []bomComponent `json:"components"`
}

type bomMetadata struct {
	Component bomComponent `json:"component"`
}

type bomComponent struct {
	Type    string    `json:"type"`
	Ref     string    `json:"bom-ref"`
	Name    string    `json:"name"`
	Version string    `json:"version"`
	PURL    string    `json:"purl,omitempty"`
	Hashes  []bomHash `json:"hashes,omitempty"`
}

type bomHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"` // hexadecimal
}

// Run prints what the program is made of.
func (c sbomCmd) Run(out io.Writer) error {
	path := c.Program
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return err
		}
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	libraries, err := web.Libraries()
	if err != nil {
		return err
	}
	b := bom{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: bomMetadata{Component: bomComponent{
		Type: "application", Ref: "posefuse", Name: "posefuse", Version: info.Main.Version}}}
	std := strings.TrimPrefix(info.GoVersion, "go")
	b.Components = append(b.Components, bomComponent{Type: "library", Name: "std", Version: std, PURL: "pkg:golang/std@" + std})
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		component := bomComponent{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version}
		// go.sum's hash is of the list of the module's files, as cyclonedx-gomod writes it.
		if sum, decodeErr := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); decodeErr == nil && len(sum) == 32 {
			component.Hashes = []bomHash{{"SHA-256", hex.EncodeToString(sum)}}
		}
		b.Components = append(b.Components, component)
	}
	for name, version := range libraries {
		b.Components = append(b.Components, bomComponent{Type: "library", Name: name, Version: version, PURL: "pkg:npm/" + name + "@" + version})
	}
	models, err := networks()
	if err != nil {
		return err
	}
	b.Components = append(b.Components, models...)
	for i := range b.Components {
		b.Components[i].Ref = b.Components[i].Name + "@" + b.Components[i].Version
	}
	slices.SortFunc(b.Components, func(x, y bomComponent) int { return strings.Compare(x.Ref, y.Ref) })
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(b)
}

// networks are the weights inside the program.
func networks() ([]bomComponent, error) {
	card, err := model.ReadCard(shipped.Files(), ".")
	if err != nil {
		return nil, err
	}
	component := func(name, version, sum string) bomComponent {
		return bomComponent{Type: "machine-learning-model", Name: name, Version: version, Hashes: []bomHash{{"SHA-256", sum}}}
	}
	return []bomComponent{
		component(card.Name, card.Version, card.SHA256),
		component("movenet-singlepose-"+keypoint.Lightning, "4", keypoint.LightningSum),
	}, nil
}
