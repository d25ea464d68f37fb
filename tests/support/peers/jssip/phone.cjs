// JsSIP without a browser: commands come as lines of JSON on stdin, events go out as such on stdout.
// What WebRTC would do is feigned: there is no media, only the SDP that it would come with.
'use strict';
const readline = require('node:readline');
const { WebSocket } = require('ws');

const settings = JSON.parse(process.argv[2]);
const SDP = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0',
  `m=audio ${settings.media_port} RTP/AVP 0`, 'a=rtpmap:0 PCMU/8000', ''].join('\r\n');

class FeignedConnection {
  constructor() {
    this.iceGatheringState = 'complete';
    this.signalingState = 'stable';
    this.localDescription = null;
  }
  addEventListener() {}
  removeEventListener() {}
  getSenders() { return []; }
  getReceivers() { return []; }
  async createOffer() { return { type: 'offer', sdp: SDP }; }
  async createAnswer() { return { type: 'answer', sdp: SDP }; }
  async setLocalDescription(description) { this.localDescription = description; }
  async setRemoteDescription(description) { this.remoteDescription = description; }
  close() { this.signalingState = 'closed'; }
}
globalThis.window = globalThis;
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) { super(url, protocols, settings.origin ? { origin: settings.origin } : {}); }
};
globalThis.RTCPeerConnection = FeignedConnection;
globalThis.RTCSessionDescription = class { constructor(init) { Object.assign(this, init); } };

const JsSIP = require('jssip');
const tell = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const ua = new JsSIP.UA({
  sockets: [new JsSIP.WebSocketInterface(settings.url)],
  uri: settings.uri, authorization_user: settings.user, password: settings.password,
  register: false, session_timers: false,
});
const media = { mediaConstraints: { audio: false, video: false } };
let session = null;

function take(found, originator) {
  session = found;
  session.on('progress', () => tell('progress'));
  session.on('confirmed', () => tell('confirmed', { remote: session.connection.remoteDescription.sdp }));
  session.on('ended', (data) => tell('ended', { originator: data.originator, cause: data.cause }));
  session.on('failed', (data) => tell('failed', { cause: data.cause, status: data.message && data.message.status_code }));
  tell('session', { originator });
}
ua.on('connected', () => tell('connected'));
ua.on('disconnected', (data) => tell('disconnected', { error: data.error, code: data.code }));
ua.on('registered', (data) => tell('registered', { contact: data.response.getHeader('Contact') }));
ua.on('unregistered', () => tell('unregistered'));
ua.on('registrationFailed', (data) => tell('registration_failed', { cause: data.cause }));
ua.on('newRTCSession', ({ session: found, originator }) => { if (originator === 'remote') take(found, originator); });
ua.on('newMessage', ({ originator, request }) => { if (originator === 'remote') tell('message', { body: request.body }); });

const commands = {
  register: () => ua.register(),
  unregister: () => ua.unregister(),
  call: ({ uri }) => take(ua.call(uri, media), 'local'),
  answer: () => session.answer(media),
  hang_up: () => session.terminate(),
  options: ({ uri }) => ua.sendOptions(uri, null, { eventHandlers: {
    succeeded: (data) => tell('answered', { status: data.response.status_code }),
    failed: (data) => tell('failed', { cause: data.cause, status: data.response && data.response.status_code }),
  } }),
  stop: () => { ua.stop(); setTimeout(() => process.exit(0), 300); },
};
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
}).on('close', () => process.exit(0));
ua.start();
