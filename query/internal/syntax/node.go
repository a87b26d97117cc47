package syntax

// Start is where the statement begins.
func (n *Select) Start() Pos { return n.Pos }

// Start is where the statement begins.
func (n *CreateSource) Start() Pos { return n.Pos }

// Start is where the statement begins.
func (n *CreateSink) Start() Pos { return n.Pos }

// Start is where the statement begins.
func (n *InsertInto) Start() Pos { return n.Pos }

// Start is where the statement begins.
func (n *CreateView) Start() Pos { return n.Pos }

// Start is where the statement begins.
func (n *Explain) Start() Pos { return n.Pos }

// Start is where the item begins.
func (n *Item) Start() Pos { return n.Pos }

// Start is where the expression begins.
func (n *Order) Start() Pos { return n.Pos }

// Start is where the table begins.
func (n *Table) Start() Pos { return n.Pos }

// Start is the name of the window.
func (n *Window) Start() Pos { return n.Pos }

// Start is the name of the column.
func (n *ColumnDef) Start() Pos { return n.Pos }

// Start is the word WATERMARK.
func (n *Watermark) Start() Pos { return n.Pos }

// Start is the key.
func (n *Option) Start() Pos { return n.Pos }

// Start is the name of the type.
func (n *TypeName) Start() Pos { return n.Pos }

// Start is the number.
func (n *Count) Start() Pos { return n.Pos }

// Start is the word WHEN.
func (n *When) Start() Pos { return n.Pos }

// Start is where the name begins.
func (n *Ident) Start() Pos { return n.Pos }

// Start is where the literal begins.
func (n *Literal) Start() Pos { return n.Pos }

// Start is the operator.
func (n *Unary) Start() Pos { return n.Pos }

// Start is the operator.
func (n *Binary) Start() Pos { return n.Pos }

// Start is the word IS.
func (n *IsNull) Start() Pos { return n.Pos }

// Start is the word IS.
func (n *IsTruth) Start() Pos { return n.Pos }

// Start is the word IS.
func (n *IsDistinct) Start() Pos { return n.Pos }

// Start is the word IN, or NOT before it.
func (n *In) Start() Pos { return n.Pos }

// Start is the word BETWEEN, or NOT before it.
func (n *Between) Start() Pos { return n.Pos }

// Start is the word LIKE or ILIKE, or NOT before it.
func (n *Like) Start() Pos { return n.Pos }

// Start is the word CASE.
func (n *Case) Start() Pos { return n.Pos }

// Start is the word CAST or the sign ::.
func (n *Cast) Start() Pos { return n.Pos }

// Start is the name of the function.
func (n *Call) Start() Pos { return n.Pos }

// String is the canonical text.
func (n *Select) String() string { return text(n) }

// String is the canonical text.
func (n *CreateSource) String() string { return text(n) }

// String is the canonical text.
func (n *CreateSink) String() string { return text(n) }

// String is the canonical text.
func (n *InsertInto) String() string { return text(n) }

// String is the canonical text.
func (n *CreateView) String() string { return text(n) }

// String is the canonical text.
func (n *Explain) String() string { return text(n) }

// String is the canonical text.
func (n *Item) String() string { return text(n) }

// String is the canonical text.
func (n *Order) String() string { return text(n) }

// String is the canonical text.
func (n *Table) String() string { return text(n) }

// String is the canonical text.
func (n *Window) String() string { return text(n) }

// String is the canonical text.
func (n *ColumnDef) String() string { return text(n) }

// String is the canonical text.
func (n *Watermark) String() string { return text(n) }

// String is the canonical text.
func (n *Option) String() string { return text(n) }

// String is the canonical text.
func (n *TypeName) String() string { return text(n) }

// String is the canonical text.
func (n *Count) String() string { return text(n) }

// String is the canonical text.
func (n *When) String() string { return text(n) }

// String is the canonical text.
func (n *Ident) String() string { return text(n) }

// String is the canonical text.
func (n *Literal) String() string { return text(n) }

// String is the canonical text.
func (n *Unary) String() string { return text(n) }

// String is the canonical text.
func (n *Binary) String() string { return text(n) }

// String is the canonical text.
func (n *IsNull) String() string { return text(n) }

// String is the canonical text.
func (n *IsTruth) String() string { return text(n) }

// String is the canonical text.
func (n *IsDistinct) String() string { return text(n) }

// String is the canonical text.
func (n *In) String() string { return text(n) }

// String is the canonical text.
func (n *Between) String() string { return text(n) }

// String is the canonical text.
func (n *Like) String() string { return text(n) }

// String is the canonical text.
func (n *Case) String() string { return text(n) }

// String is the canonical text.
func (n *Cast) String() string { return text(n) }

// String is the canonical text.
func (n *Call) String() string { return text(n) }

// Start is the first word, or the parenthesis.
func (n *Grouping) Start() Pos { return n.Pos }

// String is the canonical text.
func (n *Grouping) String() string { return text(n) }

func (*Select) statement()       {}
func (*CreateSource) statement() {}
func (*CreateSink) statement()   {}
func (*InsertInto) statement()   {}
func (*CreateView) statement()   {}
func (*Explain) statement()      {}
