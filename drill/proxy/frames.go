package proxy

// HTTP/2 frames (RFC 9113, section 4.1): 3 bytes length, 1 type, 1 flags, 4
// stream id, payload. A server sends nothing else on a connection.
const (
	frameHeader = 9
	frameData   = 0
)

// frames finds the frames in what a server sends. It belongs to one goroutine.
type frames struct {
	lose    func(payload []byte) bool
	partial []byte // the beginning of a frame; at most a frame long
}

// feed takes the next bytes and returns the whole frames that they complete.
// When a DATA frame is to be lost, lost is true and out ends before it.
func (f *frames) feed(in []byte) (out []byte, lost bool) {
	buf := append(f.partial, in...)
	at := 0
	for len(buf)-at >= frameHeader {
		h := buf[at:]
		size := frameHeader + int(h[0])<<16 + int(h[1])<<8 + int(h[2])
		if len(h) < size {
			break
		}
		if h[3] == frameData && size > frameHeader && f.lose(h[frameHeader:size]) {
			return buf[:at], true
		}
		at += size
	}
	f.partial = append([]byte(nil), buf[at:]...)
	return buf[:at], false
}
