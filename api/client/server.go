package client

// OK is the answer to a request that changed something and has no more to say.
type OK struct {
	Status string `json:"status"` // "ok"
}

// About is a server's description of itself: the answer to GET /.
type About struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Links   map[string]string `json:"links"`
}

// Ready is the answer to GET /readyz of a server that can store and fire.
type Ready struct {
	Status   string   `json:"status"`             // "ok"
	Warnings []string `json:"warnings,omitempty"` // for humans
}

// DBs is a page of dbs: the answer to GET /db.
type DBs struct {
	DBs    []DB   `json:"dbs"`
	Cursor string `json:"cursor,omitempty"` // where to continue; empty at the end
}

// DB is a db, and how much it has.
type DB struct {
	DB     string `json:"db"`
	Jobs   uint64 `json:"jobs"` // of every status
	Routes int    `json:"routes"`
}

// Collections is a page of the collections of a db: the answer to GET /db/{db}.
type Collections struct {
	Collections []Collection `json:"collections"`
	Cursor      string       `json:"cursor,omitempty"` // where to continue; empty at the end
}

// Collection is a collection, and how much it has.
type Collection struct {
	Collection string `json:"collection"`
	Jobs       uint64 `json:"jobs"` // of every status
}

// PageQuery is the query of a list without filters, such as routes and dbs.
type PageQuery struct {
	Limit  int    `json:"limit,omitempty"`  // how many at most
	Cursor string `json:"cursor,omitempty"` // from the last answer
}

// Restored is the answer to POST /restore.
type Restored struct {
	Status   string  `json:"status"`
	Restored Entries `json:"restored"`
}

// Entries counts the entries of a backup by their kind.
type Entries struct {
	Token        int `json:"token,omitempty"`
	RevokedToken int `json:"revoked_token,omitempty"`
	Job          int `json:"job,omitempty"`
	Route        int `json:"route,omitempty"`
	DeadLetter   int `json:"dead_letter,omitempty"`
	Attempt      int `json:"attempt,omitempty"`
	Fire         int `json:"fire,omitempty"`
}
