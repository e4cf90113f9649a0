package setup

import (
	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/asset"
	"belfry/streams/manifest"
)

// Judge judges a store of one partition: the existing streams, those that the server does
// not serve, and the recorded manifest, nil if there is none.
func Judge(d Disk, there []*jetstream.StreamInfo, offline map[string]string, written *manifest.Manifest) *Refusal {
	v := survey{found: map[string]*jetstream.StreamInfo{}, offline: offline, partitions: 1}
	for _, info := range there {
		v.found[info.Config.Name] = info
	}
	if d != nil {
		v.folders = d.Folders()
	}
	s := &Setup{cfg: Config{Disk: d, Assets: asset.Set{}}}
	if written == nil {
		return s.judge(v, manifest.Manifest{}, false)
	}
	return s.judge(v, *written, true)
}
