package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// make test-slow runs again, by name, those tests that do more then, so what asks
// for it must stand in a test and not in a helper.
func TestSlowPartsAreInTests(t *testing.T) {
	asked := 0
	err := filepath.WalkDir(testenv.Root(), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") || name == filepath.Join(testenv.Root(), "internal", "testenv")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok || !asksForSlow(sel) {
					return true
				}
				asked++
				if fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") && !strings.HasPrefix(fn.Name.Name, "Benchmark") {
					t.Errorf("%s: %s calls testenv.%s; call it in the test itself", filepath.Base(name), fn.Name.Name, sel.Sel.Name)
				}
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked == 0 {
		t.Error("no test asks for more under TESTENV_TESTS: has testenv other names?")
	}
}

func asksForSlow(s *ast.SelectorExpr) bool {
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "testenv" && (s.Sel.Name == "Slow" || s.Sel.Name == "SlowRace" || s.Sel.Name == "Full")
}
