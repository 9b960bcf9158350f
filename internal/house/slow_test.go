package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// make test-slow runs of the commands' tests those by name that do more then, so
// what asks for it must stand in a test and not in a helper.
func TestSlowPartsOfCommandsAreInTests(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testenv.Root(), "cmd", "posefuse", "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	asked := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
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
				if fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
					t.Errorf("%s: %s calls testenv.%s; call it in the test itself", filepath.Base(name), fn.Name.Name, sel.Sel.Name)
				}
				return true
			})
		}
	}
	if asked == 0 {
		t.Error("no test asks for more under TESTENV_TESTS: has testenv other names?")
	}
}

func asksForSlow(s *ast.SelectorExpr) bool {
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "testenv" && (s.Sel.Name == "Slow" || s.Sel.Name == "SlowRace" || s.Sel.Name == "Full")
}
