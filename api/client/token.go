package client

// Role says what a token may do.
type Role string

// The roles. Each may do what the one before may.
const (
	RoleReader Role = "reader"
	RoleWriter Role = "writer"
	RoleAdmin  Role = "admin"
)

// NewToken is a bearer token to make: the body of POST /token.
type NewToken struct {
	Role        Role     `json:"role"`
	DBs         []string `json:"dbs,omitempty"`
	AllDBs      bool     `json:"all_dbs,omitempty"` // as an admin always has
	Description string   `json:"description,omitempty"`
	ExpiresTime int64    `json:"expires_time,omitempty"` // 0 is never
}

// IssuedToken is the answer to [NewToken].
type IssuedToken struct {
	Status string `json:"status"`
	Token  string `json:"token"` // shown this once
	ListedToken
}

// Tokens are all tokens: the answer to GET /token.
type Tokens struct {
	Tokens []ListedToken `json:"tokens"`
}

// ListedToken is a token without its text.
type ListedToken struct {
	ID          string   `json:"id"`
	Role        Role     `json:"role"`
	DBs         []string `json:"dbs,omitempty"`
	AllDBs      bool     `json:"all_dbs,omitempty"`
	Description string   `json:"description,omitempty"`
	CreatedTime int64    `json:"created_time,omitempty"`
	ExpiresTime int64    `json:"expires_time,omitempty"` // 0 is never
	EndsWith    string   `json:"ends_with,omitempty"`    // the last characters of its text
}
