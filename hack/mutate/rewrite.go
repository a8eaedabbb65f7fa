package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// mutant is one change of the code.
type mutant struct {
	id     int // from 1
	file   string
	line   int
	code   string // the line, trimmed
	change string
}

// key is what a mutant is known by when lines move.
func (m *mutant) key() string { return fmt.Sprintf("%s: %s: %s", m.file, m.code, m.change) }

// rewriter puts the mutants of one file behind switches.
type rewriter struct {
	fset    *token.FileSet
	info    *types.Info
	name    string
	source  []byte
	mutants *[]mutant
	edits   []edit
}

// edit puts text in at an offset of the source. Of those at one place, opening ones nest by their order and closing ones
// against it.
type edit struct {
	at   int
	text string
	// rank orders the edits at one place: what closes comes before what opens, the inner before the outer.
	rank int
}

// isOn is the function that is added to the package.
const isOn = "mutantIsOn"

// support is the file that is added to a package that is mutated. A run records which mutants it reaches, as far as it is
// asked to.
func support(pkg string, most int) string {
	return fmt.Sprintf(`package %s

import (
	"os"
	"strconv"
	"sync/atomic"
)

var (
	mutantChosen, _ = strconv.Atoi(os.Getenv("MUTANT"))
	mutantReached [%d]atomic.Bool
	mutantRecord = os.Getenv("MUTANTS_REACHED")
)

func mutantIsOn(id int) bool {
	if mutantRecord != "" && !mutantReached[id].Swap(true) {
		if f, err := os.OpenFile(mutantRecord, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
			_, _ = f.WriteString(strconv.Itoa(id) + "\n")
			_ = f.Close()
		}
	}
	return id == mutantChosen
}
`, pkg, most+1)
}

func (r *rewriter) offset(p token.Pos) int { return r.fset.Position(p).Offset }

func (r *rewriter) text(n ast.Node) string {
	return string(r.source[r.offset(n.Pos()):r.offset(n.End())])
}

// add registers a mutant at the node.
func (r *rewriter) add(n ast.Node, change string) int {
	position := r.fset.Position(n.Pos())
	line := bytes.Split(r.source, []byte("\n"))[position.Line-1]
	m := mutant{id: len(*r.mutants) + 1, file: r.name, line: position.Line, code: strings.TrimSpace(string(line)), change: change}
	for i := range *r.mutants {
		if o := &(*r.mutants)[i]; o.file == m.file && o.line == m.line && o.change == m.change {
			m.change += " (another)"
		}
	}
	*r.mutants = append(*r.mutants, m)
	return m.id
}

// around puts text before and behind the node.
func (r *rewriter) around(n ast.Node, before, behind string) {
	size := int(n.End() - n.Pos())
	r.edits = append(r.edits,
		edit{r.offset(n.Pos()), before, 1<<30 - size}, // what is larger opens first
		edit{r.offset(n.End()), behind, -(1 << 30) + size})
}

// rewrite is the file with all of its mutants.
func (r *rewriter) rewrite(file *ast.File) ([]byte, error) {
	var parents []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			parents = parents[:len(parents)-1]
			return true
		}
		parents = append(parents, n)
		if d, ok := n.(*ast.GenDecl); ok && d.Tok != token.VAR {
			parents = parents[:len(parents)-1]
			return false
		}
		var parent ast.Node
		if len(parents) > 1 {
			parent = parents[len(parents)-2]
		}
		r.node(n, parent)
		return true
	})
	slices.SortStableFunc(r.edits, func(a, b edit) int {
		if a.at != b.at {
			return a.at - b.at
		}
		return a.rank - b.rank
	})
	var out bytes.Buffer
	last := 0
	for _, e := range r.edits {
		out.Write(r.source[last:e.at])
		out.WriteString(e.text)
		last = e.at
	}
	out.Write(r.source[last:])
	return format.Source(out.Bytes())
}

// node adds the mutants of one node.
func (r *rewriter) node(n, parent ast.Node) {
	switch n := n.(type) {
	case *ast.IfStmt:
		r.condition(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil && !isComparison(n.Cond) {
			r.condition(n.Cond)
		}
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, s := range n.Body.List {
				for _, e := range s.(*ast.CaseClause).List {
					r.condition(e)
				}
			}
		}
	case *ast.BinaryExpr:
		r.binary(n)
	case *ast.ReturnStmt:
		for _, e := range n.Results {
			if name, ok := e.(*ast.Ident); ok && (name.Name == "true" || name.Name == "false") {
				r.around(e, fmt.Sprintf("(%s(%d) != ", isOn, r.add(e, "not "+name.Name)), ")")
			}
		}
	case *ast.IncDecStmt:
		if inBlock(parent) {
			other := strings.TrimRight(r.text(n), "+-") + map[token.Token]string{token.INC: "--", token.DEC: "++"}[n.Tok]
			r.around(n, fmt.Sprintf("if %s(%d) { %s } else { ", isOn, r.add(n, other), other), " }")
		}
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE && inBlock(parent) {
			r.leaveOut(n)
		}
	case *ast.ExprStmt:
		if inBlock(parent) {
			r.leaveOut(n)
		}
	case *ast.BranchStmt:
		if n.Tok == token.CONTINUE && inBlock(parent) {
			r.leaveOut(n)
		}
	}
}

// inBlock says whether a statement of the parent may be put into an if.
func inBlock(parent ast.Node) bool {
	switch parent.(type) {
	case *ast.BlockStmt, *ast.CaseClause:
		return true
	}
	return false
}

func (r *rewriter) leaveOut(n ast.Stmt) {
	if call, ok := n.(*ast.ExprStmt); ok {
		if c, isCall := call.X.(*ast.CallExpr); isCall {
			if name, isName := c.Fun.(*ast.Ident); isName && name.Name == "panic" {
				return
			}
		}
	}
	r.around(n, fmt.Sprintf("if !%s(%d) { ", isOn, r.add(n, "left out: "+firstLine(r.text(n)))), " }")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func isComparison(e ast.Expr) bool {
	b, ok := e.(*ast.BinaryExpr)
	return ok && slices.Contains([]token.Token{token.LSS, token.LEQ, token.GTR, token.GEQ, token.EQL, token.NEQ}, b.Op)
}

// condition turns a condition round. Of equalities that is done by binary.
func (r *rewriter) condition(e ast.Expr) {
	if b, ok := e.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) {
		return
	}
	r.around(e, fmt.Sprintf("%s(%d) != (", isOn, r.add(e, "not ("+r.text(e)+")")), ")")
}

var others = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR, token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LAND: token.LOR, token.LOR: token.LAND, token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
}

// binary puts another operator in the place of that of an expression.
func (r *rewriter) binary(n *ast.BinaryExpr) {
	other, known := others[n.Op]
	if !known || r.info.Types[n].Value != nil {
		return
	}
	change := fmt.Sprintf("%s for %s in %s", other, n.Op, firstLine(r.text(n)))
	switch n.Op {
	case token.EQL, token.NEQ:
		r.around(n, fmt.Sprintf("(%s(%d) != (", isOn, r.add(n, change)), "))")
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		// Both sides are cheap and without effects here: a boundary decides only where they are equal.
		id := r.add(n, change)
		equal := fmt.Sprintf("%s == %s", r.text(n.X), r.text(n.Y))
		if n.Op == token.LSS || n.Op == token.GTR {
			r.around(n, "((", fmt.Sprintf(") || %s(%d) && %s)", isOn, id, equal))
		} else {
			r.around(n, "((", fmt.Sprintf(") && !(%s(%d) && %s))", isOn, id, equal))
		}
	case token.LAND, token.LOR:
		id := r.add(n, change)
		x, y := r.text(n.X), r.text(n.Y)
		r.around(n, fmt.Sprintf("(%s(%d) && ((%s) %s (%s)) || !%s(%d) && (", isOn, id, x, other, y, isOn, id), "))")
	default:
		kind := r.info.Types[n].Type
		basic, ok := kind.Underlying().(*types.Basic)
		if !ok || basic.Info()&types.IsNumeric == 0 || basic.Info()&types.IsUntyped != 0 {
			return
		}
		id := r.add(n, change)
		mutated := fmt.Sprintf("(%s) %s (%s)", r.text(n.X), other, r.text(n.Y))
		r.around(n, fmt.Sprintf("func() %s { if %s(%d) { return %s }; return ", types.TypeString(kind, (*types.Package).Name), isOn, id, mutated), " }()")
	}
}
